# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark suite: what it chooses, computes and says on made-up numbers, and short runs of it."""

import json
import sys
import tempfile

import pytest

from jobs import run
from mmpi.bench import cases, changes, command, pools, starting, startup, summary, teams
from mmpi.bench.measure import Result, Summary, Timing
from mmpi.bench.programs import program_cases
from mmpi.bench.report import amount, sized
from requirements import need

BENCH = (sys.executable, "-m", "mmpi.bench")


def result(name="case", **times):
    """Made-up samples in us, by contender: a list, or five times the same; `_` in a name is a space."""
    samples = {n.replace("_", " "): t if isinstance(t, list) else [t] * 5 for n, t in times.items()}
    return Result(name, {n: Timing(1, [1e3 * x for x in s]) for n, s in samples.items()})


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, count", [("8", 8), ("64K", 65536), ("1M", 1 << 20), ("1MiB", 1 << 20), ("2kb", 2048), ("0", 0)])
def test_sizes(text, count):
    assert command.size(text) == count


@pytest.mark.parametrize(
    "words, message",
    [
        ("--sizes x", "x is no size: say 8, 64K or 1M"),
        ("--sizes 1G", "at most 64 MiB"),
        ("--ranks 1", "a number of ranks is at least 2"),
        ("--repeat 1", "one sample has no spread"),
        ("--only colectives", "did you mean collectives?"),
        ("--only nothing-like-it", "groups are p2p, objects"),
        ("--plot a.pdf", "must end in .svg or .png"),
        ("--json /no/such/folder/a.json", "there is no folder"),
        ("--compare /no/such/file", "No such file"),
        ("--compare {wrong}", "is no file that --json of the benchmarks wrote"),
        ("--compare {broken}", "is not JSON"),
        ("--quick --full", "not allowed with argument --quick"),
    ],
)
def test_a_bad_command_line_is_refused(words, message, capsys, tmp_path):
    (tmp_path / "wrong").write_text('{"format": 7}')
    (tmp_path / "broken").write_text("{")
    text = words.format(wrong=tmp_path / "wrong", broken=tmp_path / "broken")
    with pytest.raises(SystemExit, match="2"):
        command.main(text.split())
    assert message in capsys.readouterr().err


def test_the_list_has_every_group_of_the_issue_and_no_name_twice(capsys):
    assert command.main(["--list", "--ranks", "2,3", "--full"]) == 0
    listed = capsys.readouterr().out
    assert command.main(["--list"]) == 0
    usual = capsys.readouterr().out
    assert "64 KiB both ways" in usual and "64 MiB" not in usual
    assert all(f"\n{group}: " in f"\n{listed}" for group in cases.GROUPS)
    specs = cases.specs([2, 3], cases.SIZES)
    assert len({spec.name for spec in specs}) == len(specs)
    assert all(f"    {name}" in listed for name in ("0 B there and back", "64 MiB both ways", "sweep on 3 ranks", "memory of a rank"))


def test_only_takes_groups_and_parts_of_names():
    specs = cases.specs([2], [8])
    assert {spec.group for spec in cases.choose(specs, ["io", "overlap"])} == {"io", "overlap"}
    assert [spec.name for spec in cases.choose(specs, ["jacobi"])] == ["jacobi on 2 ranks"]
    assert cases.choose(specs, []) == specs


def test_what_is_missing_is_told(monkeypatch, capsys):
    monkeypatch.setattr(pools, "installed", lambda module: module not in ("numpy", "matplotlib", "mpi4py"))
    assert command.main(["--quick"]) == 1
    assert "pip install 'maroonmpi[bench]'" in capsys.readouterr().err
    told = command.warnings({"load": 0.0, "cores": 2}, cases.specs([3], [8]))
    assert any("mpi4py, which is not installed" in line for line in told) and any("3 ranks" in line or "4 ranks" in line for line in told)
    assert any(line.startswith("warning: load 9.0") for line in command.warnings({"load": 9.0, "cores": 2}, cases.specs([2], [8])))


# --- what follows from the numbers -----------------------------------------------------------------------------------


def test_slower_means_a_tenth_and_three_deviations():
    assert summary.slower(Summary(1.2, 0.03)) and not summary.slower(Summary(1.2, 0.04)) and not summary.slower(Summary(1.1, 0))
    assert summary.faster(Summary(0.8, 0.03)) and not summary.faster(Summary(0.8, 0.04)) and not summary.faster(Summary(0.95, 0))


def test_losses_are_named_with_both_contenders():
    lost = result("a", C=1, mmpi_typed=4, mpi4py_typed=2, mmpi_objects=9, mpi4py_pkl5=9, Pipe=3)
    told = summary.losses([lost])
    assert told == [
        "a: mmpi typed takes 2.00 ± 0.00 times what mpi4py typed takes",
        "a: mmpi typed takes 1.33 ± 0.00 times what Pipe takes",
    ]
    assert summary.losses([result("b", mmpi_typed=1, mpi4py_typed=2, Pipe=3)]) == []
    assert summary.losses([result("c", mmpi_typed=[2, 1, 3, 1, 3], mpi4py_typed=[1, 1, 1, 2, 2])]) == [], "noise"
    assert summary.losses([result("d", mmpi_typed=[9, 9], mpi4py_typed=[1, 1])]) == [], "too few rounds"


def test_the_tables_mark_the_fastest_and_set_ours_beside_the_best_of_others():
    made = result("a", C=2, mmpi_typed=4, mmpi_objects=8, mpi4py_typed=5, Pipe=1)
    rows = summary.rows([made])
    assert [row[4] for row in rows[1:]] == ["2.00 ± 0.00", "4.00 ± 0.00", "8.00 ± 0.00", "5.00 ± 0.00", "fastest"]
    assert rows[2][3] == "2.00 ± 0.00" and rows[1][3] == "" and rows[1][0] == "a" and rows[2][0] == ""
    assert summary.derived([made])[1] == ["a", "Pipe", "mmpi typed", "2.00 ± 0.00", "0.80 ± 0.00", "4.00 ± 0.00"]
    assert len(summary.derived([result("b", Pipe=1)])) == 1, "nothing of ours"
    started = Result("start", {n: Timing(1, [t] * 5) for n, t in {"C, mpiexec": 1.0, "mmpi, mpiexec": 2.0, "bare Python": 0.5}.items()})
    assert summary.derived([started])[1][1:4] == ["C, mpiexec", "mmpi, mpiexec", "2.00 ± 0.00"]


def test_advice_counts_who_wins_and_how_clearly():
    first = result("a", C=1, mmpi_typed=2, mpi4py_typed=9)
    second = result("b", C=1, mmpi_typed=4, Pipe=3.9)
    (line,) = summary.advice({"p2p": [first, second]})
    assert line.startswith("p2p: mmpi typed (fastest in 1 of 2), Pipe (fastest in 1 of 2)") and "in 1 the next is as good" in line


def run_of(unit="ns", cores=2, **contenders):
    found = {name: {"median": median, "spread": spread} for name, (median, spread) in contenders.items()}
    return {"format": 1, "machine": {"cores": cores}, "cases": [{"case": "x", "unit": unit, "contenders": found}]}


def test_a_comparison_tells_what_changed_beyond_noise():
    old = run_of(a=(100, 1), b=(100, 1), c=(100, 20), d=(100, 1))
    new = run_of(a=(120, 1), b=(80, 1), c=(120, 20), d=(104, 1), e=(1, 0), cores=4)
    told = changes.compare(old, new)
    assert [line.split()[-1] for line in told.splitlines() if line.startswith("x:")] == ["slower", "faster"]
    assert "2 changed beyond noise, 2 did not, 1 are new" in told and "not the same cores: 2 before, 4 now" in told
    assert changes.compare(old, old).startswith("0 changed")


def test_memory_and_times_are_told_in_their_units():
    assert amount(Summary(3 << 20, 1 << 19), "B") == "3.0 ± 0.5 MiB" and amount(Summary(1500, 20), "ns") == "1.50 ± 0.02 us"
    assert [sized(count) for count in (0, 8, 1000, 1024, 3 << 20)] == ["0 B", "8 B", "1000 B", "1 KiB", "3 MiB"]


@pytest.mark.parametrize("library, verdicts", [("Open MPI v5", ["OK", "MISSED"]), ("MPICH 5", ["", ""])])
def test_starting_is_judged(library, verdicts, monkeypatch):
    counts = {"pass": 100, "import mmpi": 161}
    monkeypatch.setattr(starting, "files_opened", counts.get)
    hello = {"mmpi, mmpi run": 1e9, "mmpi, mpiexec": 1.3e9, "mpi4py, mpiexec": 2e9}
    results = {
        starting.IMPORT: {"nothing": 1e6, "mmpi": 6e6},
        starting.INIT: {"open the library": 7e6, "init() but MPI_Init_thread": 1.5e6},
        startup.START: hello,
    }
    made = {case: Result(case, {n: Timing(1, [t] * 3) for n, t in times.items()}) for case, times in results.items()}
    rows = starting.outcomes(made, library)
    assert [row.value for row in rows] == pytest.approx([5, 61, 7, 1.5, 1, 0.7])
    assert [row.verdict for row in rows] == ["OK", "MISSED", "", "MISSED", *verdicts]
    del made[startup.START].timings["mpi4py, mpiexec"]
    assert starting.outcomes(made, library)[-1].verdict == "needs mpi4py"


# --- programs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(monkeypatch):
    """For what programs and teams leave behind; short, since a socket lies in it."""
    with tempfile.TemporaryDirectory() as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        yield path


@pytest.mark.parametrize("name", cases.PROGRAMS)
def test_a_wrong_answer_of_a_program_is_found(name, folder):
    """The form `pool` with a map that loses nothing passes; with one that changes the last item it does not."""

    def bad_map(function, tasks):
        results = list(map(function, tasks))
        results[-1] = results[0]
        return results

    made = [program_cases(name, True, [("x", "pool", (each,))], leader=True) for each in (map, bad_map)]
    if not made[0]:
        assert name in ("jacobi", "cg"), "these have no pool"
        return
    for (case,), right in zip(made, (True, False), strict=True):
        case.contenders[0].run(1)
        assert case.verify() is right


# --- real teams --------------------------------------------------------------------------------------------------------


def test_a_team_that_cannot_start_is_named(folder):
    team = teams.Team("broken", 1, [sys.executable, "-c", "raise SystemExit(3)"], folder)
    try:
        with pytest.raises(teams.TeamError, match="broken: 0 of 1 processes came; it ended with status 3"):
            team.ready()
    finally:
        team.end()


def test_a_pool_that_does_not_start_is_left_out_and_told(folder, monkeypatch):
    monkeypatch.setattr(teams, "mpi_team", lambda ranks, folder: teams.pool_team(pools.ONE, 1, folder))
    broken = teams.Pool("broken", 1, [sys.executable, "-c", "raise SystemExit(4)"], folder)
    monkeypatch.setattr(teams, "process_team", lambda ranks, folder: broken)
    told: list[str] = []
    with teams.crew(cases.specs([2], [8])[:1], 2, folder, told.append) as crew:
        assert [team.name for team in crew] == ["one process of 1"]
    assert told == ["left out: broken: 0 of 1 processes came; it ended with status 4"]


def test_what_fails_in_a_team_is_told(folder):
    team = teams.pool_team(pools.ONE, 1, folder)
    try:
        team.ready()
        with pytest.raises(teams.TeamError, match="No module named 'mmpi.bench.programs.nonsense'"):
            team.ask("build", "program", ("nonsense", True))
        assert team.ask("build", "program", ("pi", True)) == [[pools.ONE]]
        assert team.ask("run", pools.ONE, 2)[0] > 0
    finally:
        team.end()
    assert team.process.poll() == 0


WANTED = {
    "C": True, "mmpi typed": True, "mmpi objects": True, "mpi4py typed": False, "mpi4py objects": False, "mpi4py pkl5": False,
    "Pipe": True, "Pipe bytes": True, "Queue": True, "SharedMemory": True, "Barrier": True, "Value": True, "os.pwrite": True,
    "one process": True, "Pool (fork)": True, "Pool (forkserver)": True, "concurrent.futures": True, "mpi4py.futures": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "8 B there,int there,barrier on 2,fetch,write,pi on,jacobi",
        pytest.param("8 B,256 strings,crowd,overlap,onesided,io,programs", marks=pytest.mark.slow),
    ],
)
def test_a_short_run_checks_all_answers_and_writes_what_it_found(words, tmp_path):
    """Of each kind of case one, so that every contender runs; all cases take longer."""
    file = tmp_path / "out.json"
    done = run(*BENCH, "--quick", "--repeat", "2", "--sizes", "8", "--only", words, "--json", str(file), limit=170)
    assert done.returncode == 0, done.stderr
    data = json.loads(file.read_text())
    found = {name for case in data["cases"] for name in case["contenders"]}
    assert [name for name, always in WANTED.items() if name not in found and (always or pools.installed("mpi4py"))] == []
    assert all(c["spread"] >= 0 and len(c["samples"]) == 2 for case in data["cases"] for c in case["contenders"].values())
    assert data["failed"] == [] and set(data["kinds"]) == {case["case"] for case in data["cases"]} and data["machine"]["mpi"]
    assert "what should I use?" in done.stdout and "1/" in done.stderr
    assert "0 changed beyond noise" in changes.compare(data, data)


@pytest.mark.slow
def test_start_up_memory_imports_and_the_picture(tmp_path):
    need("matplotlib")
    picture = tmp_path / "out.svg"
    done = run(*BENCH, "--repeat", "2", "--only", "startup,int there", "--plot", str(picture), limit=170)
    assert done.returncode == 0, done.stderr
    assert "mmpi, mmpi run" in done.stdout and "MiB" in done.stdout and picture.read_text().count("<svg") == 1
