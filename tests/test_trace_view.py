# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a trace, in a real browser: what it shows, how it is used, and that its numbers are those of the report."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmpi.trace import analysis, view
from mmpi.trace.container import Trace, empty
from requirements import need
from trace_samples import sample

SLOW = 1  # the rank that computes longest in the sample
READY = "#loading[hidden], #loading.alarm"


class Browser:
    """A browser, and the pages that a test opens in it: none may ask for anything or complain."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.contexts: list[Any] = []

    def open(self, path: Path, hash_: str = "t=0,0", scheme: str = "light", width: int = 1300, height: int = 800) -> Any:
        size = {"width": width, "height": height}
        context = self.browser.new_context(viewport=size, color_scheme=scheme, offline=True, accept_downloads=True)
        self.contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{path.as_uri()}#{hash_}")
        page.wait_for_selector(READY, state="attached")
        settle(page)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        foreign = [url for url in self.requests if not url.startswith(("file://", "blob:", "about:srcdoc"))]
        files = [url for url in self.requests if url.startswith("file://") and not url.partition("#")[0].endswith(".html")]
        assert foreign + files == []
        assert self.complaints == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = need("browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    browser = Browser(chromium)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def trace() -> Trace:
    return sample(4, 1600, seed=3, slow=SLOW, lost=2)


@pytest.fixture(scope="module")
def made(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    trace.write(folder / "run.mmpit")
    view.write(folder / "run.mmpit", folder / "run.html")
    return folder / "run.html"


def written(trace: Trace, folder: Path) -> Path:
    trace.write(folder / "other.mmpit")
    view.write(folder / "other.mmpit", folder / "other.html")
    return folder / "other.html"


def settle(page: Any) -> None:
    """Wait until the page has drawn what was asked for."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def until(page: Any, holds: str) -> None:
    """Wait until an expression of the page is true: no eval, which the page forbids."""
    for _ in range(200):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"{holds} does not become true")


def state(page: Any) -> Any:
    settle(page)
    return page.evaluate("() => mmpiTest.state()")


def counts(page: Any) -> Any:
    settle(page)
    return page.evaluate("() => mmpiTest.counts()")


def box(page: Any) -> Any:
    return page.locator("#stage").bounding_box()


def place(page: Any, call: int) -> tuple[float, float]:
    """Where the middle of a call is, for the mouse."""
    settle(page)
    at, stage = page.evaluate("(call) => mmpiTest.place(call)", call), box(page)
    return stage["x"] + (at["x"] + at["end"]) / 2, stage["y"] + at["y"]


def zoom_to(page: Any, trace: Trace, call: int, room: float = 1.0) -> None:
    start, length = int(trace.calls["start"][call]), max(20, int(trace.calls["duration"][call]))
    page.evaluate("(hash) => { location.hash = hash; }", f"t={start - room * length:.0f},{start + (1 + room) * length:.0f}")
    until(page, f"() => Math.abs(mmpiTest.state().from - {start - room * length:.0f}) < 2")
    settle(page)


def key(page: Any, *keys: str) -> None:
    for one in keys:
        page.keyboard.press(one)
    settle(page)


def find(trace: Trace, name: str, nth: int = 0) -> int:
    """The number of the nth call of an operation."""
    number = [operation["name"] for operation in trace.operations].index(name)
    return int(np.flatnonzero(trace.calls["operation"] == number)[nth])


# --- what is in the page -----------------------------------------------------------------------------------------------


def test_all_of_the_trace_is_there(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    number = counts(page)
    assert (number["calls"], number["messages"]) == (len(trace.calls), len(trace.messages))
    assert number["collectives"] == trace.collectives["instance"].max() + 1
    assert number["waits"] == len(analysis.analyze(trace).waits)
    for call in np.random.default_rng(0).integers(0, len(trace.calls), 40).tolist():
        shown, real = page.evaluate("(call) => mmpiTest.call(call)", call), trace.calls[call]
        assert shown.pop("operation") == trace.operations[real["operation"]]["name"]
        assert shown == {name: int(real[name]) for name in shown}


def test_it_opens_on_its_report(browser: Browser, made: Path) -> None:
    page = browser.open(made, "")
    assert state(page)["page"] == "report"
    assert "rank 1 computes" in page.locator(".verdict").inner_text()
    page.locator("#page-report tr.link", has_text="Allreduce").last.click()
    now = state(page)
    assert (now["page"], now["hit"]) == ("timeline", 0) and len(now["hits"]) > 10


def test_large_tables_are_decoded_by_workers(browser: Browser, tmp_path: Path) -> None:
    trace = sample(8, 60_000, seed=1)
    path = written(trace, tmp_path)
    assert path.stat().st_size > 500_000
    page = browser.open(path)
    last = len(trace.calls) - 1
    assert page.evaluate("(call) => mmpiTest.call(call)", last)["start"] == trace.calls["start"][last]
    assert counts(page)["calls"] == len(trace.calls)


def test_names_are_text_and_nothing_else(browser: Browser, tmp_path: Path) -> None:
    trace = sample(2, 100)
    trace.operations[6]["name"] = "</script><img src=x onerror=alert(1)>"
    trace.meta["program"] = "a <b>&amp; \u201cc\u201d.py"
    page = browser.open(written(trace, tmp_path))
    assert page.locator("#program").inner_text() == "a <b>&amp; \u201cc\u201d.py"
    assert page.locator(".legend td.name", has_text="</script><img src=x").count() == 1
    assert page.locator("img").count() == 0


def test_damaged_blocks_are_told(chromium: Any, made: Path, tmp_path: Path) -> None:
    text = made.read_text()
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'(id="calls-0">.{40}).{8}', r"\1AAAAAAAA", text))
    context = chromium.new_context()
    page = context.new_page()
    page.goto(broken.as_uri())
    page.wait_for_selector(READY, state="attached")
    assert "cannot be read" in page.locator("#loading.alarm").inner_text()
    context.close()


def test_a_trace_without_calls(browser: Browser, tmp_path: Path) -> None:
    trace = Trace({"duration": 1000, "size": 1, "program": "idle.py"}, [row_of_one(0, 1000)], [])
    page = browser.open(written(trace, tmp_path))
    key(page, "+", "t", "m", ".", "n", "Home")
    assert counts(page)["calls"] == 0


# --- numbers -----------------------------------------------------------------------------------------------------------


def intervals(trace: Trace) -> list[tuple[int, int]]:
    """The whole, and some parts that begin and end inside calls."""
    last = int(trace.calls["end"].max())
    random = np.random.default_rng(5)
    return [(0, last)] + [tuple(sorted(random.integers(0, last, 2).tolist())) for _ in range(6)]


def test_the_numbers_are_those_of_the_report(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    for start, end in intervals(trace):
        told = analysis.analyze(trace, start, end).as_dict()
        shown = page.evaluate("([from, to]) => mmpiTest.statistics(from, to)", [start, end])
        for name in ("wall", "mpi", "wait", "calls", "messages", "bytes"):
            assert shown[name] == told["totals"][name], name
        for mine, row in zip(shown["rows"], told["rows"], strict=True):
            names = ("rank", "wall", "app", "mpi", "wait", "calls")
            assert {name: row[name] for name in names} == {name: mine[name] for name in names}
            assert (mine["bytesOut"], mine["bytesIn"]) == (row["bytes_out"], row["bytes_in"])
        states = {one["state"]: one for one in told["states"]}
        for operation in shown["operations"]:
            if operation["name"] in states:
                one = states[operation["name"]]
                columns = ("count", "inclusive", "exclusive")
                assert [operation[name] for name in columns] == [one[name] for name in columns]


def test_lines_and_pairs_are_those_of_the_report(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    names = [operation["name"] for operation in trace.operations]
    for start, end in intervals(trace):
        told = analysis.analyze(trace, start, end).as_dict()
        sites = page.evaluate("([from, to]) => mmpiTest.sites(from, to)", [start, end])
        columns = ("count", "total", "max", "wait")
        mine = {(names[one["operation"]].removeprefix("MPI_"), one["site"]): [one[name] for name in columns] for one in sites}
        assert mine == {(one["operation"], one["site"]): [one[name] for name in columns] for one in told["sites"]}
        pairs = page.evaluate("([from, to]) => mmpiTest.matrix(from, to)", [start, end])
        shown = {(one["source"], one["target"]): (one["count"], one["bytes"], one["wait"]) for one in pairs}
        assert shown == {(one["source"], one["dest"]): (one["count"], one["bytes"], one["wait"]) for one in told["matrix"]}


def test_exclusive_times_add_up(browser: Browser, made: Path, trace: Trace) -> None:
    """Nothing is counted twice: exclusive times over all operations are the time inside outermost calls, by brute force."""
    page = browser.open(made)
    for start, end in intervals(trace):
        shown = page.evaluate("([from, to]) => mmpiTest.statistics(from, to)", [start, end])
        outermost = trace.calls[trace.calls["depth"] == 0]
        covered = np.clip(outermost["end"], start, end) - np.clip(outermost["start"], start, end)
        assert sum(one["exclusive"] for one in shown["operations"]) == covered.sum()


def test_calls_that_overlap(browser: Browser, tmp_path: Path) -> None:
    """As states of MPE may: no time is counted twice, here as in the report."""
    random = np.random.default_rng(11)
    starts, durations, operations = np.sort(random.integers(0, 20_000, 300)), random.integers(1, 400, 300), random.integers(0, 2, 300)
    trace = one_rank(["MPI_Send", "MPI_Recv"], starts, durations, operations)
    start, end = trace.calls["start"], trace.calls["end"]
    trace.calls["depth"] = [(end[:i] > start[i]).sum() for i in range(300)]
    trace.operations[1]["kind"] = "state"
    page = browser.open(written(trace, tmp_path))
    for start, end in intervals(trace):
        told = analysis.analyze(trace, start, end).as_dict()
        shown = page.evaluate("([from, to]) => mmpiTest.statistics(from, to)", [start, end])
        assert (shown["mpi"], shown["calls"]) == (told["totals"]["mpi"], told["totals"]["calls"])
        for one in told["states"]:
            assert next(mine for mine in shown["operations"] if mine["name"] == one["state"])["exclusive"] == one["exclusive"]


def test_the_panel_shows_the_selected_interval(browser: Browser, made: Path, trace: Trace) -> None:
    start, end = intervals(trace)[2]
    page = browser.open(made, f"t=0,{end}&sel={start},{end}&panel=statistics")
    told = analysis.analyze(trace, start, end).as_dict()
    text = page.locator("#panel").inner_text()
    assert f"{told['totals']['calls']}\ncalls of MPI" in re.sub("[\u202f]", "", text)
    share = 100 * told["totals"]["mpi"] / told["totals"]["wall"]
    assert f"{share:.1f} %\nin MPI" in text


# --- moving about ------------------------------------------------------------------------------------------------------


def test_the_wheel_zooms_about_the_pointer(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    before, stage = state(page), box(page)
    x = 400.0
    page.mouse.move(stage["x"] + x, stage["y"] + 80)
    time_at = "([x]) => mmpiTest.hit(x, 80).time"
    here = page.evaluate(time_at, [x])
    page.mouse.wheel(0, -300)
    after = state(page)
    assert after["to"] - after["from"] < 0.7 * (before["to"] - before["from"])
    assert page.evaluate(time_at, [x]) == pytest.approx(here, rel=1e-6)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 200)
    page.keyboard.up("Shift")
    moved = state(page)
    assert moved["from"] > after["from"] and moved["to"] - moved["from"] == pytest.approx(after["to"] - after["from"])


def test_dragging_moves_zooms_and_selects(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    key(page, "+", "+")
    stage, before = box(page), state(page)

    def drag(x0: float, x1: float) -> None:
        page.mouse.move(stage["x"] + x0, stage["y"] + 300)
        page.mouse.down()
        page.mouse.move(stage["x"] + (x0 + x1) / 2, stage["y"] + 300)
        page.mouse.move(stage["x"] + x1, stage["y"] + 300)
        page.mouse.up()
        settle(page)

    drag(600, 500)
    after = state(page)
    span = before["to"] - before["from"]
    assert after["from"] > before["from"] and after["to"] - after["from"] == pytest.approx(span)
    times = page.evaluate("() => [mmpiTest.hit(300, 300).time, mmpiTest.hit(500, 300).time]")
    key(page, "3")
    drag(300, 500)
    assert state(page)["selection"] == pytest.approx(times, abs=2)
    assert "Interval" in page.locator("#info").inner_text()
    key(page, "Escape", "2")
    drag(300, 500)
    zoomed = state(page)
    assert (zoomed["from"], zoomed["to"]) == (pytest.approx(times[0], abs=2), pytest.approx(times[1], abs=2))
    key(page, "z")
    assert state(page)["from"] == pytest.approx(after["from"])
    key(page, "Z")
    assert state(page)["from"] == pytest.approx(zoomed["from"])


def test_keys_zoom_move_and_go_back(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    views = [(state(page)["from"], state(page)["to"])]
    for one in ("+", "ArrowRight"):
        page.wait_for_timeout(550)  # steps further apart than half a second are steps of the history
        key(page, one)
        views.append((state(page)["from"], state(page)["to"]))
    assert views[1][1] - views[1][0] == pytest.approx((views[0][1] - views[0][0]) / 2)
    assert views[2][0] > views[1][0]
    key(page, "Control+z")
    assert state(page)["from"] == views[1][0]
    key(page, "Control+z")
    assert state(page)["from"] == views[0][0]
    key(page, "Control+y", "Control+Shift+z")
    assert state(page)["from"] == views[2][0]
    key(page, "Home")
    assert state(page)["from"] <= 0 and state(page)["past"] > 0


def test_the_strip_moves_the_view(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    key(page, "+", "+", "+")
    strip = page.locator("#overview").bounding_box()
    page.mouse.click(strip["x"] + strip["width"] * 0.75, strip["y"] + 10)
    now, whole = state(page), json.loads(page.locator("#footer").inner_text())["meta"]["duration"]
    assert (now["from"] + now["to"]) / 2 == pytest.approx(0.75 * whole, rel=0.02)


def test_rows_are_cut_moved_and_made_small(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    key(page, "ArrowDown", "ArrowDown")
    assert state(page)["cursor"] == 2
    key(page, "x")
    assert state(page)["lines"] == [0, 1, 3]
    key(page, "ArrowUp", "v")
    assert state(page)["lines"] == [0, 2, 1, 3]
    key(page, "x", "ArrowDown")
    assert state(page)["lines"] == [0, 1, 3]
    key(page, "Alt+ArrowUp")
    assert state(page)["lines"] == [0, 3, 1]
    key(page, "c")
    assert state(page)["small"] == [False, True, False]
    key(page, "R")
    assert state(page)["lines"] == [0, 1, 2, 3] and not any(state(page)["small"])
    stage = box(page)
    page.mouse.click(stage["x"] + 30, stage["y"] + 50, button="right")
    page.get_by_role("menuitem", name="Cut all others").click()
    assert state(page)["lines"] == [0]


def test_rows_of_a_communicator_and_by_waiting(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    page.locator("#rows").select_option("wait")
    waits = [row["wait"] for row in analysis.analyze(trace).as_dict()["rows"]]
    assert state(page)["lines"] == sorted(range(4), key=lambda row: -waits[row])
    page.locator("#rows").select_option("comm1")
    assert state(page)["lines"] == [0, 1, 2, 3]


def test_names_of_narrow_rows_are_not_cut(browser: Browser, tmp_path: Path) -> None:
    """As many lines of pixels have ink of the first name as of the next ones."""
    rows = [row_of_one(0, 1000) | {"rank": rank} for rank in range(64)]
    page = browser.open(written(Trace({"duration": 1000, "size": 64, "program": "wide.py"}, rows, []), tmp_path))
    settle(page)
    inked = page.evaluate("""() => {
      const { data } = document.getElementById("ink").getContext("2d").getImageData(12, 26, 44, 200);
      return [...Array(200).keys()].map((y) => data.slice(y * 176, y * 176 + 176).some((value, i) => i % 4 === 3 && value > 60));
    }""")
    heights = [len(list(group)) for is_ink, group in itertools.groupby(inked) if is_ink]
    assert len(heights) > 5 and heights[0] == heights[1] == heights[2]


def test_many_rows_scroll(browser: Browser, tmp_path: Path) -> None:
    page = browser.open(written(sample(64, 4000), tmp_path))
    for _ in range(8):
        key(page, "]")
    assert page.locator("#scroll").is_visible()
    stage = box(page)
    page.mouse.move(stage["x"] + 20, stage["y"] + 200)
    page.mouse.wheel(0, 300)
    assert state(page)["scroll"] == pytest.approx(300, abs=1)


# --- looking closer ----------------------------------------------------------------------------------------------------


def test_a_click_tells_all_about_a_call(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    call = find(trace, "MPI_Isend", 7)
    zoom_to(page, trace, call)
    page.keyboard.press("a")  # arrows would be in the way
    page.mouse.click(*place(page, call))
    assert state(page)["picked"] == {"call": call}
    text = page.locator("#info").inner_text()
    peer = int(trace.calls["world_peer"][call])
    assert "Isend" in text and f"rank {peer}" in text and "solver.py:13" in text and re.search(r"tag\s+7\b", text)


def test_a_wait_leads_to_its_culprit(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    waits = analysis.analyze(trace).waits
    wait = waits[int(np.argmax(waits["duration"]))]
    call = int(wait["call"])
    zoom_to(page, trace, call)
    page.keyboard.press("a")
    page.mouse.click(*place(page, call))
    assert "wait at NxN" in page.locator("#info").inner_text()
    page.get_by_role("button", name="Go to the culprit").click()
    now = state(page)
    assert now["picked"] == {"call": int(wait["culprit"])}
    assert now["from"] <= trace.calls["start"][wait["culprit"]] <= now["to"]
    page.evaluate("(hash) => { location.hash = hash; }", f"t={now['from']:.0f},{now['to']:.0f}&call={call}")
    until(page, f"() => mmpiTest.state().picked?.call === {call}")
    key(page, "w")
    assert state(page)["picked"] == {"call": int(wait["culprit"])}


def test_an_arrow_is_hit_and_followed(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    message = trace.messages[50]
    start, end = int(trace.calls["start"][message["send"]]), int(trace.calls["end"][message["receive_done"]])
    page.evaluate("(hash) => { location.hash = hash; }", f"t={start - (end - start)},{end + end - start}")
    until(page, f"() => Math.abs(mmpiTest.state().from - {start - (end - start)}) < 2")
    ends = [page.evaluate("(call) => mmpiTest.place(call)", int(message[side])) for side in ("send", "receive_done")]
    x, y = (ends[0]["x"] + ends[1]["end"]) / 2, (ends[0]["y"] + ends[1]["y"]) / 2
    assert page.evaluate("([x, y]) => mmpiTest.hit(x, y).arrow", [x, y]) == 50
    page.mouse.click(box(page)["x"] + x, box(page)["y"] + y)
    assert state(page)["picked"] == {"message": 50} and "Message" in page.locator("#info").inner_text()
    page.get_by_role("button", name="Go to the receive").click()
    assert state(page)["picked"] == {"call": int(message["receive_done"])}
    key(page, "g")
    assert state(page)["picked"]["call"] in trace.messages["send"]


def test_the_keyboard_walks_from_call_to_call(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    key(page, ".", ".", ".")
    picked = state(page)["picked"]["call"]
    assert picked == 2 and "rank 0" in page.locator("#status").inner_text()
    key(page, ",")
    assert state(page)["picked"]["call"] == 1
    key(page, "Enter")
    assert trace.operations[int(trace.calls["operation"][1])]["name"].removeprefix("MPI_") in page.locator("#info").inner_text()
    key(page, "Escape")
    assert page.locator("#info").is_hidden()


def test_collectives_are_bands_and_know_who_was_last(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    call = find(trace, "MPI_Allreduce", 5)
    zoom_to(page, trace, call, 0.1)
    assert counts(page)["bandsDrawn"] >= 1
    key(page, "b")
    key(page, "a")
    page.mouse.click(*place(page, call))
    instance = trace.collectives["instance"][trace.collectives["call"] == call][0]
    members = trace.collectives["call"][trace.collectives["instance"] == instance]
    last = members[np.argmax(trace.calls["start"][members])]
    assert re.search(rf"last\s+rank {trace.calls['row'][last]}\b", page.locator("#info").inner_text())


def test_values_of_states_and_events_are_told(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made, f"t=0,0&call={find(trace, 'step', 3)}")
    key(page, "Enter")
    assert "cells=3" in page.locator("#info").inner_text()


def test_many_messages_are_bundled(browser: Browser, tmp_path: Path) -> None:
    trace = sample(8, 40_000, seed=2)
    page = browser.open(written(trace, tmp_path))
    until(page, "() => mmpiTest.counts().bundled")
    number = counts(page)
    assert number["arrowsInView"] == len(trace.messages) and number["arrowsDrawn"] < 4000
    call = int(trace.messages["send"][200])
    zoom_to(page, trace, call, 20)
    number = counts(page)
    assert not number["bundled"] and 0 < number["arrowsDrawn"] <= 3000
    now = state(page)
    begin, end = trace.calls["start"][trace.messages["send"]], trace.calls["end"][trace.messages["receive_done"]]
    assert number["arrowsInView"] == ((begin <= now["to"]) & (end >= now["from"])).sum()


def pixel(page: Any, call: int, dx: float = 0.0) -> list[int]:
    at = page.evaluate("(call) => mmpiTest.place(call)", call)
    return page.evaluate("([x, y]) => mmpiTest.pixel(x, y)", [at["x"] + dx, at["y"]])


def rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def row_of_one(calls: int, last: int) -> dict[str, Any]:
    return {"rank": 0, "thread": 0, "host": "h", "pid": 1, "tid": 1, "calls": calls, "first": 0, "last": last, "finished": True, "dropped": 0}


def one_rank(names: list[str], starts: Any, durations: Any, operations: Any) -> Trace:
    calls = empty("calls", len(starts))
    calls["start"], calls["duration"], calls["operation"] = starts, durations, operations
    for column in ("peer", "tag", "bytes"):
        calls[column] = -1
    last = int((calls["start"] + calls["duration"]).max())
    described = [{"name": name, "kind": "mpi", "color": "", "format": ""} for name in names]
    return Trace({"duration": last, "size": 1, "program": "one.py"}, [row_of_one(len(calls), last)], described, calls=calls)


def test_a_lonely_microsecond_stays_visible(browser: Browser, tmp_path: Path) -> None:
    """Of 100 s one call takes 1 us: its pixel has its colour."""
    trace = one_rank(["MPI_Send", "MPI_Recv"], [0, 50_000_000_000, 99_999_999_000], [1000] * 3, [0, 1, 0])
    page = browser.open(written(trace, tmp_path))
    assert pixel(page, 1) == rgb(state(page)["colors"][1])


def test_a_microsecond_among_many_calls_stays_visible(browser: Browser, tmp_path: Path) -> None:
    """Of 100,000 calls that fill the time one is of another kind: its column has its colour."""
    n = 100_000
    operations = np.zeros(n, int)
    operations[n // 2] = 1
    page = browser.open(written(one_rank(["MPI_Send", "MPI_Barrier"], np.arange(n) * 1000, [1000] * n, operations), tmp_path))
    assert counts(page)["exact"] == 0
    at, color = page.evaluate(f"() => mmpiTest.place({n // 2})"), rgb(state(page)["colors"][1])
    column = [page.evaluate("([x, y]) => mmpiTest.pixel(x, y)", [at["x"] + dx, at["y"] + dy]) for dx in (-1, 0) for dy in range(-40, 40)]
    assert color in column


# --- searching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "select"),
    [
        ("op:Recv", lambda t: names_of(t) == "MPI_Recv"),
        ("recv dur>20us", lambda t: np.isin(names_of(t), ["MPI_Recv"]) & (t.calls["duration"] > 20_000)),
        ("tag=8 rank:2-3", lambda t: (t.calls["tag"] == 8) & np.isin(t.calls["row"], [2, 3])),
        ("bytes>=64k op:Isend", lambda t: (t.calls["bytes"] >= 65536) & (names_of(t) == "MPI_Isend")),
        ("site:solver.py:15 rank:0", lambda t: (t.calls["site"] == 4) & (t.calls["row"] == 0)),
        ("peer=1 op:Isend", lambda t: (t.calls["world_peer"] == 1) & (names_of(t) == "MPI_Isend")),
        ("comm:world at<1ms", lambda t: (t.calls["comm"] == 1) & (t.calls["start"] < 1_000_000)),
    ],
)
def test_searching(browser: Browser, made: Path, trace: Trace, query: str, select: Callable[[Trace], Any]) -> None:
    page = browser.open(made)
    key(page, "/")
    page.keyboard.type(query)
    key(page, "Enter")
    expected = np.flatnonzero(select(trace))
    assert sorted(state(page)["hits"]) == expected.tolist() and len(expected) > 0
    order = expected[np.argsort(trace.calls["start"][expected], kind="stable")]
    page.keyboard.press("Escape")
    key(page, "n")
    first = state(page)
    assert first["picked"] == {"call": first["hits"][first["hit"]]}
    assert trace.calls["start"][first["hits"]].tolist() == trace.calls["start"][order].tolist()
    key(page, "n", "p", "p")
    assert state(page)["hit"] == (first["hit"] - 1) % len(expected)


def names_of(trace: Trace) -> Any:
    return np.array([operation["name"] for operation in trace.operations])[trace.calls["operation"]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("op:nosuch", "no operation"), ("dur>abc", "not a number"), ("color:red", "not known"), ("flag:maybe", "the flags are"),
        ("rank:x", "give ranks"),
    ],
)
def test_a_search_that_makes_no_sense_says_why(browser: Browser, made: Path, query: str, words: str) -> None:
    page = browser.open(made)
    key(page, "/")
    page.keyboard.type(query)
    key(page, "Enter")
    assert words in page.locator("#status").inner_text() and state(page)["hits"] is None


def test_operations_can_be_left_out_of_the_search(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    page.get_by_label("Recv searchable", exact=True).uncheck()
    key(page, "/")
    page.keyboard.type("rank:3")
    key(page, "Enter")
    assert len(state(page)["hits"]) == ((trace.calls["row"] == 3) & (names_of(trace) != "MPI_Recv")).sum()


# --- legend, matrix, looks ---------------------------------------------------------------------------------------------


def test_the_legend_acts_at_once(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    call = find(trace, "MPI_Waitall", 3)
    zoom_to(page, trace, call)
    key(page, "h")  # no shading of waits
    number = int(trace.calls["operation"][call])
    assert pixel(page, call, 5) == rgb(state(page)["colors"][number])
    recolor = "(field) => { field.value = '#123456'; field.dispatchEvent(new Event('input')); }"
    page.get_by_label("colour of Waitall", exact=True).evaluate(recolor)
    settle(page)
    assert pixel(page, call, 5) == rgb("#123456")
    page.get_by_label("Waitall visible", exact=True).uncheck()
    settle(page)
    step = [operation["name"] for operation in trace.operations].index("step")
    assert pixel(page, call, 5) == rgb(state(page)["colors"][step])
    at = page.evaluate("(call) => mmpiTest.place(call)", call)
    assert page.evaluate("([x, y]) => mmpiTest.hit(x, y).call", [at["x"] + 5, at["y"]]) != call


def test_the_legend_counts_sorts_and_changes_several(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made)
    row = page.locator("tr[data-operation]", has_text="Allreduce")
    cells = row.locator("td").all_inner_texts()
    told = analysis.analyze(trace).as_dict()
    calls = trace.calls[names_of(trace) == "MPI_Allreduce"]
    assert cells[4] == str(len(calls))
    assert cells[6] == f"{100 * calls['duration'].sum() / told['totals']['wall']:.1f} %"
    page.get_by_role("button", name="Name").click()
    listed = page.locator("tr[data-operation] td.name").all_inner_texts()
    assert listed == sorted(listed)
    page.locator("tr[data-operation] td.name", has_text="Irecv").click()
    page.locator("tr[data-operation] td.name", has_text="Isend").click(modifiers=["Control"])
    page.get_by_label("Isend visible", exact=True).uncheck()
    names = [operation["name"] for operation in trace.operations]
    assert [names[k] for k, shown in enumerate(state(page)["visible"]) if not shown] == ["MPI_Irecv", "MPI_Isend"]


def test_the_matrix_chooses_arrows(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made, "t=0,0&panel=matrix")
    rows = trace.calls["row"]
    pairs = (rows[trace.messages["send"]] == 0) & (rows[trace.messages["receive"]] == 1)
    page.locator("#panel tr", has_text="0 → 1").click()
    assert state(page)["pair"] == [0, 1] and counts(page)["arrowsInView"] == pairs.sum()
    page.locator("#panel tr", has_text="0 → 1").click()
    assert state(page)["pair"] is None and counts(page)["arrowsInView"] == len(trace.messages)
    page.locator("#matrix").click(position={"x": 22 + 28 + 14, "y": 22 + 14})  # row 0, column 1
    assert state(page)["pair"] == [0, 1]


def test_arrows_by_tag_and_size(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made, "t=0,0&panel=matrix")
    page.get_by_label("arrows with tag").fill("7")
    page.get_by_label("arrows of at least").fill("64k")
    page.keyboard.press("Tab")
    wanted = (trace.messages["tag"] == 7) & (trace.messages["bytes"] >= 65536)
    assert counts(page)["arrowsInView"] == wanted.sum() > 0


def test_a_click_among_many_calls_tells_what_they_do(browser: Browser, tmp_path: Path) -> None:
    n = 100_000
    page = browser.open(written(one_rank(["MPI_Send", "MPI_Recv"], np.arange(n) * 1000, [400] * n, np.arange(n) % 2), tmp_path))
    page.mouse.click(*place(page, n // 2))
    text = page.locator("#info").inner_text()
    assert "calls" in text and re.search(r"Send\s+\d+, 20\.", text) and re.search(r"Recv\s+\d+, 20\.", text)
    page.get_by_role("button", name="Zoom to them").click()
    now = state(page)
    assert now["to"] - now["from"] < n * 1000 / 100


def test_looks(browser: Browser, made: Path) -> None:
    page = browser.open(made, scheme="dark")
    assert state(page)["look"] == "dark"
    dark = state(page)["colors"]
    page.locator("#look").select_option("blind")
    assert state(page)["look"] == "blind" and state(page)["colors"] != dark
    page.locator("#look").select_option("light")
    assert page.evaluate("() => document.documentElement.dataset.look") == "light"


def test_the_address_holds_the_view(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    key(page, "+", "+", "s", "b", "ArrowDown", "x", "m", ".")
    page.get_by_label("look").or_(page.locator("#look")).first.select_option("blind")
    key(page, "/")
    page.keyboard.type("op:Recv")
    key(page, "Enter")
    until(page, "() => location.hash.includes('q=op')")
    first = state(page)
    other = browser.open(made, page.evaluate("() => location.hash.slice(1)"))
    second = state(other)
    for name in ("lines", "selection", "visible", "look", "show", "query", "hits", "panel", "picked"):
        assert second[name] == first[name], name
    assert (second["from"], second["to"]) == (pytest.approx(first["from"], abs=1), pytest.approx(first["to"], abs=1))


def test_everything_can_be_reached_by_tab(browser: Browser, made: Path) -> None:
    page = browser.open(made)
    reached = set()
    page.evaluate("() => document.activeElement.blur()")
    for _ in range(60):
        page.keyboard.press("Tab")
        name = "() => { const { id, dataset } = document.activeElement; return id || dataset.do || dataset.panel || ''; }"
        reached.add(page.evaluate(name))
    assert {"query", "look", "stage", "undo", "home", "rows", "export", "statistics", "matrix", "panel"} <= reached
    unnamed = "(e) => !(e.textContent.trim() || e.ariaLabel || e.title || e.closest('label'))"
    assert page.evaluate(f"() => [...document.querySelectorAll('button, input, select')].filter({unnamed}).length") == 0
    key(page, "?")
    assert page.locator("dialog#help").is_visible()


# --- out of the page ---------------------------------------------------------------------------------------------------


def test_calls_in_view_as_csv(browser: Browser, made: Path, trace: Trace) -> None:
    page = browser.open(made, "t=100000,900000")
    now = state(page)
    rows = list(csv.DictReader(io.StringIO(page.evaluate("() => mmpiTest.csv()"))))
    inside = (trace.calls["start"] <= now["to"]) & (trace.calls["end"] >= now["from"])
    assert sorted(int(row["start_ns"]) for row in rows) == sorted(trace.calls["start"][inside].tolist())
    assert {row["file"] for row in rows} == {"solver.py"}


def test_pictures_and_tables_are_saved(browser: Browser, made: Path) -> None:
    page = browser.open(made, "t=0,1000000")
    saved = {}
    for kind in ("png", "svg", "csv", "statistics"):
        with page.expect_download() as download:
            page.locator("#export").select_option(kind)
        saved[download.value.suggested_filename] = Path(download.value.path()).read_bytes()
    assert set(saved) == {"solver.png", "solver.svg", "solver-calls.csv", "solver-statistics.csv"}
    assert saved["solver.png"].startswith(b"\x89PNG")
    shapes = ET.fromstring(saved["solver.svg"])
    assert len(shapes.findall("{http://www.w3.org/2000/svg}rect")) > 30 and b"Allreduce" in saved["solver.svg"]
    assert saved["solver-statistics.csv"].startswith(b"rank,thread,wall_ns")


def test_a_notebook_shows_it_inline(browser: Browser, made: Path, trace: Trace, tmp_path: Path) -> None:
    shown = view.show(made.with_suffix(".mmpit"), height=500)._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and "height: 500px" in shown
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!DOCTYPE html><title>n</title><div id=loading hidden></div>{shown}")
    page = browser.browser.new_context(offline=True).new_page()
    page.goto(notebook.as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("#loading[hidden]").wait_for(state="attached")
    assert page.frames[1].evaluate("() => mmpiTest.counts().calls") == len(trace.calls)
    frame.get_by_role("tab", name="Timeline").click()
    frame.get_by_role("tab", name="Statistics").click()
    page.context.close()


# --- making it ---------------------------------------------------------------------------------------------------------


def test_a_part_of_the_trace(browser: Browser, trace: Trace, tmp_path: Path) -> None:
    trace.write(tmp_path / "run.mmpit")
    start, end = intervals(trace)[3]
    assert view.main([str(tmp_path / "run.mmpit"), "--from", f"{start}ns", "--to", f"{end}ns", "-o", str(tmp_path / "part.html")]) == 0
    page = browser.open(tmp_path / "part.html", "")
    inside = (trace.calls["start"] <= end) & (trace.calls["end"] >= start)
    assert counts(page)["calls"] == inside.sum()
    key(page, "r", "Home")
    assert page.locator(".badge", has_text="a part").count() == 1
    shown = page.evaluate("([from, to]) => mmpiTest.statistics(from, to)", [start, end])
    told = analysis.analyze(trace, start, end).as_dict()
    assert (shown["mpi"], shown["calls"]) == (told["totals"]["mpi"], told["totals"]["calls"])
    wide = start + (end - start) / 2
    assert state(page)["from"] < wide < state(page)["to"] and state(page)["to"] - state(page)["from"] < 1.1 * (end - start)


def test_too_many_calls_are_refused_with_advice(
    trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(view, "MOST_CALLS", 1000)
    trace.write(tmp_path / "run.mmpit")
    assert view.main([str(tmp_path / "run.mmpit")]) == 1
    error = capsys.readouterr().err
    assert "more than the 1,000" in error and not (tmp_path / "run.html").exists()
    advice = re.search(r"--from 0 --to \S+", error)
    assert advice and view.main([str(tmp_path / "run.mmpit"), *advice[0].split()]) == 0
    assert [path.name for path in tmp_path.glob("*.tmp")] == []


def test_the_command(trace: Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace.write(tmp_path / "run.mmpit")
    assert view.main([str(tmp_path / "run.mmpit")]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    assert view.main([str(tmp_path / "run.mmpit"), "--no-report", "-o", str(tmp_path / "plain.html")]) == 0
    assert 'id="report"' in (tmp_path / "run.html").read_text() and 'id="report"' not in (tmp_path / "plain.html").read_text()
    run, page = str(tmp_path / "run.mmpit"), str(tmp_path / "run.html")
    part = ([run, "--from", "5s"], "nothing"), ([run, "--to", "soon"], "--to soon")
    for words, told in ((["none.mmpit"], "none.mmpit"), ([page], "no merged trace"), *part):
        assert view.main(words) == 1
        assert told in capsys.readouterr().err


def test_the_page_names_no_other_place(made: Path) -> None:
    text = made.read_text()
    addresses = set(re.findall(r"https?://[\w./-]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name in the SVG that it saves
    assert "default-src 'none'" in text and "unsafe" not in text


def test_a_notebook_is_not_filled(trace: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "INLINE", 1000)
    trace.write(tmp_path / "run.mmpit")
    with pytest.raises(view.ViewError, match="give start and end"):
        view.show(tmp_path / "run.mmpit")
