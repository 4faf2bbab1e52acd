# SPDX-License-Identifier: BSD-3-Clause
"""mmpi.bench.objects: its targets and verdicts on made-up numbers, its checks of answers, and short runs on ranks."""

import json
import sys

import numpy as np
import pytest

from jobs import run
from mmpi.bench import objects
from mmpi.bench.measure import Contender, Result, Timing, WrongAnswerError, measure
from mmpi.bench.objects import GIB
from requirements import need

PROGRAM = (sys.executable, "-m", objects.MODULE)


def result(name="row", **times):
    """Made-up samples in us, a list or three times the same number, by contender; C_Mprobe is "C Mprobe"."""
    samples = {n.replace("_", " "): t if isinstance(t, list) else [t] * 3 for n, t in times.items()}
    return Result(name, {n: Timing(1, [1e3 * x for x in s]) for n, s in samples.items()})


def judge(goal, **times):
    return goal.judge("row", result(**times))


# --- targets and verdicts ------------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_issue():
    """Every row of it, with its limits, in the order of the goals; None is shown beside them and not judged."""
    some = ("7", "dict of 10", "str of 100")
    wanted = {f"send/recv {text}": [0.5] for text in ("7", '"abc"', '(1, 2.5, "x")', "None")}
    wanted |= {"send/recv dict of 10": [0.8], "send/recv array 8 B": [0.15], "send/recv array 64 KiB": [0.5, None]}
    wanted |= {f"send/recv array {size}": [0.2, 0.9, None] for size in ("1 MiB", "16 MiB", "256 MiB")}
    wanted |= {f"{method} {text}": [0.45] for method in ("bcast", "gather", "scatter") for text in some}
    wanted |= {f"{method} {text}": [0.35] for method in ("allgather", "alltoall") for text in some}
    wanted |= {"allreduce float": [0.15, 4], "allreduce int": [0.15, 4]}
    wanted |= {f"{method} array 16 MiB": [0.3, 1.2] for method in ("bcast", "allgather", "allreduce")}
    wanted |= {f"send/recv array {size}, memory kept": [None] * 3 for size in ("1 MiB", "16 MiB")}
    assert {row.name: [goal.limit for goal in row.goals] for row in objects.rows(quick=False)} == wanted


@pytest.mark.parametrize(
    "goal, times, value, verdict",
    [
        (objects.of_theirs(0.5), {"C": 9, "mmpi": 2, "mpi4py": 4}, 0.5, "OK"),
        (objects.of_theirs(0.5), {"C": 9, "mmpi": 2.1, "mpi4py": 4}, 0.525, "MISSED"),
        (objects.of_upper(1.2), {"mmpi": 6, "mpi4py": 9, "mpi4py_typed": 4}, 1.5, "MISSED"),
        (objects.of_c(4), {"C": 1, "mmpi": 3, "mpi4py": 9}, 3, "OK"),
        (objects.BANDWIDTH, {"C": 8, "mmpi": 10, "mpi4py": 9}, 0.8, "MISSED"),
        (objects.BANDWIDTH, {"C": 10, "mmpi": 5, "mpi4py": 9}, 2, "OK"),
        (objects.FLOOR, {"C": 1, "mmpi": 5, "mpi4py": 10}, 0.1, ""),
        (objects.of_extra(0.5), {"C": 1, "C_Mprobe": 2, "mmpi": 2, "mpi4py": 5}, 0.25, "OK"),
        (objects.of_extra(0.5), {"C": 9, "C_Mprobe": 1, "mmpi": 4, "mpi4py": 5}, 0.75, "MISSED"),
        (objects.of_theirs(0.5), {"mmpi": [1, 2, 90], "mpi4py": [4, 4, 90]}, 0.5, "OK"),
    ],
)
def test_verdicts(goal, times, value, verdict):
    outcome = judge(goal, **times)
    assert outcome.value == pytest.approx(value) and outcome.verdict == verdict


def test_extra_time_is_that_above_the_faster_c():
    goal = objects.of_extra(0.5)
    assert "over C," in judge(goal, C=1, C_Mprobe=2, mmpi=3, mpi4py=4).goal
    assert "over C Mprobe," in judge(goal, C=2, C_Mprobe=1, mmpi=3, mpi4py=4).goal


def test_what_cannot_be_compared_is_no_verdict():
    without = judge(objects.of_theirs(0.5), C=1, mmpi=2)
    assert without.words() == ["of mpi4py", "-", "<= 0.5", ""]
    as_fast = judge(objects.of_extra(0.5), C=2, mmpi=3, mpi4py=2)
    assert as_fast.value is None and as_fast.verdict == "mpi4py is as fast as C"
    assert json.loads(json.dumps(objects.as_json(as_fast), allow_nan=False))["verdict"] == as_fast.verdict


def test_the_report_has_times_in_us_goals_verdicts_and_what_is_noisy():
    first = result("first", C=1, mmpi=2, mpi4py=8)
    second = result("second", C=1, mmpi=[1, 2, 3], mpi4py=1234567)
    goals = [(objects.of_theirs(0.25), objects.of_c(1)), (objects.of_c(4),)]
    outcomes = [[g.judge(r.case, r) for g in group] for r, group in zip((first, second), goals, strict=True)]
    lines = objects.report([first, second], outcomes).splitlines()
    assert lines[0].split() == ["row", "C", "mmpi", "mpi4py", "goal", "value", "target"]
    assert lines[2].split() == "first 1.00 2.00 8.00 of mpi4py 0.25 ± 0.00 <= 0.25 OK".split()
    assert lines[3].split() == "of C 2.00 ± 0.00 <= 1 MISSED".split()
    assert lines[4].split() == "second 1.00 2.00 1234567 of C 2.00 ± 1.00 ? <= 4 OK".split()
    assert lines[5:] == ["2 of 3 targets met", "MISSED: first (of C)", "noisy: second"]


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "got",
    [np.ones(2, "f4"), np.ones(3), np.ones((2, 1)), np.zeros(2), [1.0, 1.0], None],
    ids=["dtype", "length", "shape", "values", "list", "None"],
)
def test_other_arrays_are_not_the_same(got):
    assert objects.same(np.ones(2), np.ones(2)) and not objects.same(got, np.ones(2))


def test_a_read_only_array_and_an_equal_number_of_another_type_are_not_the_same():
    array = np.ones(2)
    array.flags.writeable = False
    assert not objects.same(array, np.ones(2))
    assert not objects.same([1, True], [1, 1]) and not objects.same([1], [1, 1])


def test_a_wrong_answer_is_found():
    answers = objects.Answers(lambda: [7])
    right, wrong = answers.python("right", "keep(x)", x=7), answers.python("wrong", "keep(x)", x=8)
    measure(answers.case("row", [right]), repeat=1, batch_seconds=1e-6)
    assert answers.kept == [], "nothing is kept while the time is taken"
    with pytest.raises(WrongAnswerError, match="row: the answer of wrong is wrong"):
        measure(answers.case("row", [right, wrong]), repeat=1, batch_seconds=1e-6)
    with pytest.raises(WrongAnswerError):
        measure(answers.case("row", [Contender("silent", lambda n: None)]), repeat=1, batch_seconds=1e-6)


# --- jobs of their own, with made-up output ------------------------------------------------------------------------


@pytest.mark.parametrize("peak, verdict", [(1.04, "OK"), (1.06, "MISSED")])
def test_memory_is_judged(monkeypatch, peak, verdict):
    monkeypatch.setattr(objects, "proc", lambda file, name: 9 * GIB)
    monkeypatch.setattr(objects, "output_of", lambda command, **environment: [1.0, peak])
    outcomes, samples = objects.memory()
    assert [outcome.verdict for outcome in outcomes] == ["OK", verdict] and [1.0, peak] in samples.values()


def test_memory_is_left_alone_where_there_is_little(monkeypatch):
    monkeypatch.setattr(objects, "proc", lambda file, name: 2 * GIB)
    outcomes, _ = objects.memory()
    assert all("skipped: 2.0 GiB are free" in outcome.verdict for outcome in outcomes) and len(outcomes) == 2


@pytest.mark.parametrize(
    "launcher, crowded, verdict", [("hydra", True, "OK"), ("hydra", False, ""), ("openmpi", True, "")]
)
def test_more_ranks_than_cores_are_compared_under_plain_mpiexec(monkeypatch, launcher, crowded, verdict):
    from mmpi.launch import plans

    need("mpi4py")
    monkeypatch.setattr(plans.Plan, "crowded", crowded)
    real, commands = plans.plan, []

    def plan(*arguments):
        return real(*arguments)._replace(launcher=launcher)

    def output_of(command, **environment):
        commands.append((command, environment))
        return [[1e3, 1e3], [30e3, 90e3]]

    monkeypatch.setattr(plans, "plan", plan)
    monkeypatch.setattr(objects, "output_of", output_of)
    (outcome,), samples = objects.crowded()
    assert outcome.value == 60 and outcome.verdict == verdict and len(samples["mmpi"]) == 6
    assert all(command[0].rpartition("/")[2].startswith(("mpiexec", "mpirun", "prte")) for command, _ in commands)
    assert all(command[command.index("-n") + 1] == "4" and "mmpi" not in command for command, _ in commands)


# --- on ranks ------------------------------------------------------------------------------------------------------


def test_a_short_run_prints_every_row_and_writes_json(tmp_path):
    file = tmp_path / "objects.json"
    done = run(*PROGRAM, "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    rows = objects.rows(quick=True)
    assert [row.name for row in rows if not any(line.startswith(row.name) for line in done.stdout.splitlines())] == []
    assert f"1/{sum(not row.again for row in rows)} {rows[0].name}" in done.stderr, "progress"
    data = json.loads(file.read_text())
    assert [case["case"] for case in data["cases"]] == [row.name for row in rows]
    assert len(data["rows"]) == sum(len(row.goals) for row in rows)
    assert all("mmpi" in case["contenders"] for case in data["cases"])
    assert sum("C" in case["contenders"] for case in data["cases"]) == len(rows) - len(objects.TYPED_COLLECTIVES)


def test_the_sweep_sets_objects_beside_typed_messages():
    done = run(*PROGRAM, "--sweep", "--quick", "--only", "array 127 KiB,array 129 KiB,bcast str of 240")
    assert done.returncode == 0, done.stderr
    assert all(f"\n{name} " in done.stdout for name in ("array 127 KiB", "array 129 KiB", "bcast str of 240"))
    assert "mmpi typed" in done.stdout and "of mmpi typed" in done.stdout
    sizes = [row.name for row in objects.sweep(quick=False)]
    assert "array 1 KiB" in sizes and "array 4 MiB" in sizes and len(set(sizes)) == len(sizes)


def test_another_number_of_ranks_is_refused():
    done = run(sys.executable, "-m", "mmpi", "run", "-n", "3", "-m", objects.MODULE, "--quick")
    assert done.returncode == 2 and done.stderr.count("needs 2 ranks, this job has 3") == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--repeat", "0"], "--repeat must be at least 1, not 0"),
        (["--only", "nonsense"], "no row has such a name; there are send/recv 7;"),
        (["--json", "/no/such/folder/file"], "there is no folder /no/such/folder"),
    ],
)
def test_a_bad_command_line_is_refused(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        objects.main(arguments)
    assert message in capsys.readouterr().err
