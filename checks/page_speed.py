# SPDX-License-Identifier: BSD-3-Clause
"""How fast the picture of a large trace opens, and moves: checks/page_speed.py [CALLS ...]

Needs playwright and a Chromium. A made-up trace of so many calls (default: a million, and ten) is merged, written as a page
and opened in the browser: from navigation until the timeline is drawn; then dragged and zoomed for two seconds each.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from mmpi.bench.merging import write_streams
from mmpi.trace import merge, view

TARGETS = {1_000_000: 1.0, 10_000_000: 5.0}  # seconds until it is drawn
FRAMES = 30  # a second
REPEATS = 3
MOVING = """(zooms) => new Promise((done) => {
  const stage = document.getElementById("stage"), box = stage.getBoundingClientRect();
  const began = performance.now();
  let frames = 0;
  const step = (now) => {
    if (now - began > 2000) return done(1000 * frames / (now - began));
    frames++;
    const back = frames % 60 < 30 ? 1 : -1, at = { clientX: box.x + box.width / 2, clientY: box.y + 100, bubbles: true, cancelable: true };
    stage.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: zooms ? 40 * back : 0, deltaX: zooms ? 0 : 60 * back, shiftKey: !zooms }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def make(calls: int, folder: str) -> Path:
    """The page of a trace of four ranks."""
    write_streams(folder, 4, calls)
    merge.merge(folder)
    view.write(Path(folder, "trace.mmpit"), Path(folder, "run.html"))
    return Path(folder, "run.html")


def opened(browser: Any, path: Path) -> tuple[float, float, float]:
    """Seconds until it is drawn, frames a second while it is dragged, and zoomed."""
    page = browser.new_page(viewport={"width": 1300, "height": 800})
    page.goto(f"{path.as_uri()}#t=0,0", timeout=120_000)
    page.wait_for_selector("#loading[hidden]", state="attached", timeout=120_000)
    drawn = page.evaluate("() => mmpiTest.times().built") / 1000
    span = page.evaluate("() => mmpiTest.state().to")
    rates = []
    for zooms in (False, True):
        page.evaluate("(hash) => { location.hash = hash; }", f"t={0.4 * span:.0f},{0.6 * span:.0f}")
        page.wait_for_timeout(300)
        rates.append(page.evaluate(MOVING, zooms))
    page.close()
    return drawn, rates[0], rates[1]


def main(words: list[str]) -> int:
    """Measure and print; 1 if a target is missed."""
    program = next((found for name in ("chromium-headless-shell", "chromium") if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        print("the page was not measured: that needs playwright (pip install playwright) and a Chromium")
        return 0
    missed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        for calls in map(int, words or TARGETS):
            with tempfile.TemporaryDirectory(prefix="mmpi-page-") as folder:
                path = make(calls, folder)
                drawn, panned, zoomed = map(statistics.median, zip(*(opened(browser, path) for _ in range(REPEATS)), strict=True))
                size = path.stat().st_size
            good = drawn < TARGETS.get(calls, float("inf")) and min(panned, zoomed) >= FRAMES
            missed += not good
            print(f"{calls:,} calls, {size / calls:.1f} bytes each: drawn after {drawn:.2f} s (target {TARGETS.get(calls, '-')}), "
                  f"{panned:.0f} frames/s dragged, {zoomed:.0f} zoomed ({FRAMES}): {'OK' if good else 'MISSED'}", flush=True)  # fmt: skip
        browser.close()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
