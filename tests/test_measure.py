# SPDX-License-Identifier: BSD-3-Clause
"""mmpi.bench.measure on fake clocks, fake ranks, real C and real ranks."""

from __future__ import annotations

import array
import json
import math
import os
from typing import Any

import pytest

from mmpi.bench.measure import (
    Case,
    Contender,
    Result,
    Summary,
    Timing,
    WrongAnswerError,
    compile_c,
    measure,
    summarize,
)
from mmpi.bench.report import comparison, duration, load_warning, machine, quotient, table, to_json


class Fake:
    """A clock that only fake contenders move, and a diary of what they did."""

    def __init__(self) -> None:
        self.now = 0
        self.diary: list[tuple[str, int]] = []

    def clock(self) -> int:
        return self.now

    def contender(self, name: str, cost: float, loop: float = 0, **disturbed: int) -> Contender:
        """One that takes `cost` ns an iteration, and in its k-th batch as many more as `at_k` says."""
        batches = iter(range(10**6))

        def run(n: int) -> None:
            self.now += round((cost + loop) * n) + n * disturbed.get(f"at_{next(batches)}", 0)
            self.diary.append((name, n))

        def empty(n: int) -> None:
            self.now += round(loop * n)
            self.diary.append((f"empty {name}", n))

        return Contender(name, run, empty)


class FakeComm:
    """Two ranks of which this is the second: rank 0's numbers are scripted, its samples are `times` ours."""

    def __init__(self, numbers: list[int], times: float) -> None:
        self.numbers, self.times, self.barriers = iter(numbers), times, 0

    def Get_rank(self) -> int:
        return 1

    def Get_size(self) -> int:
        return 2

    def Barrier(self) -> None:
        self.barriers += 1

    def Bcast(self, buf: Any, root: int = 0) -> None:
        buf[0] = next(self.numbers)

    def Allgather(self, sendbuf: Any, recvbuf: Any) -> None:
        recvbuf[:] = array.array("d", [self.times * x for x in sendbuf]) + sendbuf


def nothing(n: int) -> None:
    """An empty batch."""


def test_summary_is_median_and_median_absolute_deviation() -> None:
    assert summarize([1, 2, 3, 4, 100]) == Summary(3, 1)
    assert summarize([5]) == Summary(5, 0)
    assert summarize([10, 11, 9, 14]) == Summary(10.5, 1)
    assert Summary(10, 2).noisy and not Summary(10, 0.5).noisy and Summary(math.nan, math.nan).noisy


def test_times_are_exact_and_the_loop_is_subtracted() -> None:
    fake = Fake()
    case = Case("work", [fake.contender("a", 100, loop=40), fake.contender("b", 250, loop=7)])
    result = measure(case, repeat=5, clock=fake.clock)
    assert result.time("a") == Summary(pytest.approx(100), 0)
    assert result.time("b") == Summary(pytest.approx(250), 0)
    assert result.ratio("b", "a").median == pytest.approx(2.5)
    assert result.extra("b", "a").median == pytest.approx(150)


def test_batches_are_just_long_enough() -> None:
    fake = Fake()
    case = Case("work", [fake.contender("fast", 10), fake.contender("slow", 5e6), fake.contender("middle", 3e5)])
    result = measure(case, repeat=3, batch_seconds=2e-3, clock=fake.clock)
    assert result.timings["slow"].iterations == 1
    assert 2e6 <= 3e5 * result.timings["middle"].iterations < 5e6
    assert 2e6 <= 10 * result.timings["fast"].iterations < 4e6


def test_single_batches_are_one_iteration_and_run_no_oftener_than_asked() -> None:
    fake = Fake()
    result = measure(Case("work", [fake.contender("fast", 10), fake.contender("slow", 5e6)]), repeat=3, clock=fake.clock, single=True)
    assert [timing.iterations for timing in result.timings.values()] == [1, 1]
    assert [n for name, n in fake.diary if name == "slow"] == [1] * 4, "once to look at the answer, three rounds"


def test_an_interruption_does_not_make_batches_short() -> None:
    fake = Fake()
    case = Case("work", [fake.contender("a", 100, at_0=10**7, at_1=10**7, at_2=10**7, at_4=10**7)])
    assert 100 * measure(case, repeat=1, clock=fake.clock).timings["a"].iterations >= 2e6


def test_a_clock_that_stands_still_ends() -> None:
    assert measure(Case("work", [Contender("a", nothing)]), repeat=1, clock=lambda: 0).timings["a"].samples == [0]


def test_rounds_take_turns_and_begin_with_another_contender() -> None:
    fake = Fake()
    case = Case("work", [fake.contender(name, 1e7) for name in "abc"])
    measure(case, repeat=3, clock=fake.clock)
    rounds = [name for name, n in fake.diary if not name.startswith("empty")][-9:]
    assert "".join(rounds) == "abcbcacab"
    assert fake.diary[-6:] == [(kind + name, 1) for name in "cab" for kind in ("", "empty ")]


def test_disturbed_rounds_do_not_move_the_median() -> None:
    fake = Fake()
    disturbed = {f"at_{k}": 10**6 for k in (5, 9)}
    case = Case("work", [fake.contender("a", 1e7, **disturbed), fake.contender("b", 1e7)])
    result = measure(case, repeat=9, clock=fake.clock)
    assert max(result.timings["a"].samples) > 1e7
    assert result.time("a") == Summary(1e7, 0)


def test_ratios_are_taken_within_rounds() -> None:
    drift = [1.0, 5.0, 2.0, 9.0]
    result = Result("x", {n: Timing(1, [factor * t for t in drift]) for n, factor in (("c", 1), ("m", 2), ("p", 3))})
    assert result.ratio("m", "c") == Summary(2, 0)
    assert result.ratio("m", "p", above="c") == Summary(0.5, 0)
    assert math.isnan(result.ratio("m", "c", above="c").median), "nothing above itself"


def test_several_ranks_take_rank_0s_size_and_the_slowest_time() -> None:
    fake, comm = Fake(), FakeComm([7, 30, 30], times=1.5)
    result = measure(Case("work", [fake.contender("a", 1000)]), repeat=2, comm=comm, clock=fake.clock)
    assert result.timings["a"] == Timing(30, [1500.0, 1500.0])
    assert comm.barriers == len(fake.diary) - 1, "one before each batch; the check of the answer needs none"


def test_answers_are_checked_and_named() -> None:
    answer = [0]
    right, wrong = (Contender(n, lambda _, v=v: answer.__setitem__(0, v)) for n, v in (("good", 42), ("bad", 41)))
    check = {"prepare": lambda: answer.__setitem__(0, 0), "verify": lambda: answer == [42]}
    assert measure(Case("sum", [right], **check), repeat=1, batch_seconds=1e-6).timings
    with pytest.raises(WrongAnswerError, match="sum: the answer of bad is wrong"):
        measure(Case("sum", [right, wrong], **check), repeat=1)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "case 'x' has no contenders"),
        (["a", "a"], {}, "names of contenders must differ, got a, a"),
        (["a"], {"repeat": 0}, "repeat must be at least 1, got 0"),
        (["a"], {"batch_seconds": 0}, "batch_seconds must be a positive number, got 0"),
        (["a"], {"batch_seconds": math.inf}, "batch_seconds must be"),
    ],
)
def test_bad_input_is_refused(names: list[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(Case("x", [Contender(name, nothing) for name in names]), **options)


def test_an_unknown_contender_is_named() -> None:
    with pytest.raises(ValueError, match="case 'x' has no contender 'b': it has a"):
        Result("x", {"a": Timing(1, [1.0])}).time("b")


def test_python_statements_run_n_times_on_their_names() -> None:
    seen: list[int] = []
    contender = Contender.python("p", "x = seen\nx.append(1); x.append(2)", seen=seen)
    contender.run(3)
    assert seen == [1, 2] * 3
    assert contender.empty is not None
    contender.empty(3)
    assert len(seen) == 6
    with pytest.raises(SyntaxError):
        Contender.python("p", "x =")


def test_json_has_everything() -> None:
    results = [Result("x", {"a": Timing(4, [1.0, 2.0, 3.0])})]
    data = json.loads(to_json(results, machine(), targets={"x": 0.5}))
    assert data["cases"] == [
        {
            "case": "x",
            "unit": "ns",
            "contenders": {"a": {"iterations": 4, "median": 2.0, "spread": 1.0, "samples": [1.0, 2.0, 3.0]}},
        }
    ]
    assert data["format"] == 1 and data["targets"] == {"x": 0.5}
    assert {"time", "host", "system", "processor", "cores", "load", "python", "mpi", "packages"} == set(data["machine"])


def test_tables_are_aligned() -> None:
    text = table([["case", "ns"], ["a", "1234"], ["long name", "5"]])
    assert text.split("\n") == ["case         ns", "---------  ----", "a          1234", "long name     5"]
    results = [Result("x", {"C": Timing(1, [100.0]), "mmpi": Timing(1, [150.0])})]
    lines = comparison(results).split("\n")
    assert lines[2].split() == ["x", "C", "100", "±", "0", "ns"]
    assert lines[3].split() == ["mmpi", "150", "±", "0", "ns", "1.50", "±", "0.00"]


def test_numbers_are_written_with_readable_units() -> None:
    assert duration(Summary(12.4, 1.2)) == "12 ± 1 ns"
    assert duration(Summary(2500, 10)) == "2.50 ± 0.01 us"
    assert duration(Summary(7.5e6, 1e5)) == "7.50 ± 0.10 ms"
    assert duration(Summary(3e9, 0)) == "3.00 ± 0.00 s"
    assert quotient(Summary(0.5, 0.01)) == "0.50 ± 0.01"
    assert quotient(Summary(0.5, 0.2)).endswith("?")


def test_a_busy_machine_is_said_to_be_busy() -> None:
    assert load_warning({"load": 0.1, "cores": 2}, ranks=2) is None
    assert "load 3.0 and 1 rank(s) of ours on 2 core(s)" in str(load_warning({"load": 3.0, "cores": 2}))


PING_PONG = """
#include <mpi.h>
int send(long n, int partner, int tag)
{
    int rc = 0;
    for (long i = 0; !rc && i < n; i++) rc = MPI_Send(0, 0, MPI_BYTE, partner, tag, MPI_COMM_WORLD);
    return rc;
}
int ping(long n, int partner, int first)
{
    char buffer[8] = {0};
    int rc;
    for (long i = 0; i < n; i++)
        for (int turn = 0; turn < 2; turn++) {
            if ((turn == 0) == first) rc = MPI_Send(buffer, 8, MPI_BYTE, partner, 0, MPI_COMM_WORLD);
            else rc = MPI_Recv(buffer, 8, MPI_BYTE, partner, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            if (rc) return rc;
        }
    return 0;
}
"""


@pytest.mark.mmpi(n=1)
def test_c_is_compiled_on_the_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmpi import MPI

    library = compile_c(PING_PONG)
    contender = Contender.c("C", library, "send", MPI.PROC_NULL, 0)
    timing = measure(Case("send", [contender]), repeat=3, batch_seconds=1e-4).timings["C"]
    assert timing.iterations > 1 and len(timing.samples) == 3
    with pytest.raises(AttributeError, match="no_such_function"):
        Contender.c("C", library, "no_such_function").run(1)
    with pytest.raises(RuntimeError, match=r"failed with status 1:\n(.|\n)*bench.c:2"):
        compile_c("#include <mpi.h>\nint f(void) { return not_declared; }\n")
    monkeypatch.delenv("MMPI_MPICC", raising=False)
    monkeypatch.setenv("CC", "/no/such/compiler")
    with pytest.raises(RuntimeError, match="cannot run /no/such/compiler .*set CC"):
        compile_c("")


@pytest.mark.mmpi(n=1)
def test_an_error_of_mpi_in_c_is_raised() -> None:
    from mmpi import MPI

    library = compile_c("#include <mpi.h>\nint fail(long n) { return n ? MPI_ERR_OTHER : 0; }")
    contender = Contender.c("C", library, "fail")
    with pytest.raises(RuntimeError, match=f"C function fail returned MPI error {MPI.ERR_OTHER}"):
        contender.run(1)


@pytest.mark.mmpi(n=2)
def test_c_and_python_play_ping_pong_in_one_job() -> None:
    from mmpi import MPI

    world = MPI.COMM_WORLD
    rank, buffer = world.Get_rank(), bytearray(8)
    turns = "c.Send(b, other); c.Recv(b, other)" if rank == 0 else "c.Recv(b, other); c.Send(b, other)"
    python = Contender.python("mmpi", turns, c=world, b=buffer, other=1 - rank)
    c = Contender.c("C", compile_c(PING_PONG), "ping", 1 - rank, int(rank == 0))
    result = measure(Case("ping-pong", [c, python]), repeat=3, batch_seconds=1e-4, comm=world)
    mine = array.array("d", [x for t in result.timings.values() for x in (t.iterations, *t.samples)])
    everyone = array.array("d", bytes(16 * len(mine)))
    world.Allgather(mine, everyone)
    assert everyone[: len(mine)] == everyone[len(mine) :], "all ranks agree on iterations and times"
    assert all(t.summary.median > 0 for t in result.timings.values())


@pytest.mark.mmpi(n=1)
def test_overhead_runs_and_writes_json(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from mmpi.bench import overhead

    file = tmp_path / "overhead.json"
    assert overhead.main(["--quick", "--repeat", "1", "--json", os.fspath(file)]) == 0
    output = capsys.readouterr().out
    assert all(call.name in output for call in overhead.CALLS) and "floors:" in output
    cases = json.loads(file.read_text())["cases"]
    assert all({"C", "mmpi"} <= set(case["contenders"]) for case in cases)


def test_overhead_refuses_a_bad_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    from mmpi.bench import overhead

    with pytest.raises(SystemExit, match="2"):
        overhead.main(["--repeat", "0"])
    assert "--repeat must be at least 1, not 0" in capsys.readouterr().err
