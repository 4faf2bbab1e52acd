# SPDX-License-Identifier: BSD-3-Clause
"""What `mmpi run` does with what ranks print: tags, collapsing, choice of ranks, files, terminals."""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

import pytest

import jobs
from mmpi.launch import LaunchError, command, output
from mmpi.launch.chatter import Chatter

RUN = (sys.executable, "-m", "mmpi", "run")
SPEAK = """
import os, sys
rank = os.environ.get("PMI_RANK") or os.environ["OMPI_COMM_WORLD_RANK"]
print("same")
print("rank", rank)
print("error", rank, file=sys.stderr)
"""


def shown(screen_of, *steps):
    """What a screen writes when it is fed these (rank, text) pairs, with a pause where a number stands."""
    with tempfile.TemporaryFile() as file:
        screen = screen_of(file.fileno())
        for step in steps:
            if isinstance(step, float):
                time.sleep(step)
                screen.tick()
            else:
                screen.feed(step[0], step[1].encode())
        screen.close()
        file.seek(0)
        return file.read().decode()


def screen(ranks=4, **show):
    return lambda fd: output.Screen(fd, output.Show(**show), ranks)


def test_without_options_only_begun_lines_wait_a_moment():
    assert shown(screen(), (0, "a"), (1, "b\n"), (0, "c\n")) == "b\nac\n"
    assert shown(screen(), (0, "name? "), 0.1, (1, "b\n"), (0, "c\n")) == "name? b\nc\n"
    assert shown(screen(), (0, "x" * 100_000), (1, "b\n")) == "x" * 100_000 + "b\n"


def test_tagged_lines_in_a_file_are_never_torn():
    assert shown(screen(tag=True), (0, "a"), 0.1, (1, "b\nc"), (0, "d\n\ne\n"), (1, "\n")) == "[1] b\n[0] ad\n[0] \n[0] e\n[1] c\n"
    assert shown(screen(tag=True), (0, "no end"), (1, "nor here")) == "[0] no end\n[1] nor here\n"
    assert shown(screen(tag=True), (3, "windows\r"), (3, "\n")) == "[3] windows\r\n"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(r, "a\nb\n") for r in range(4)], "[0-3] a\n[0-3] b\n"),
        ([(0, "a\n"), (2, "a\n"), (1, "b\n"), (3, "a\n")], "[0,2-3] a\n[1] b\n"),
        ([(r, "go\ngo\n") for r in range(4)], "[0-3] go\n[0-3] go\n"),
        (
            [(r, f"I am {r}\nsame\n") for r in (3, 0, 1, 2)],
            "".join(f"[{r}] I am {r}\n" for r in range(4)) + "[0-3] same\n",
        ),
        ([(0, "a\nb\n"), (1, "b\na\n"), (2, "a\nb\n"), (3, "b\na\n")], "[0-2] a\n[0-3] b\n[3] a\n"),
        ([(0, "a\n"), 0.4, (1, "a\n")], "[0] a\n[1] a\n"),
        ([(0, "a"), (1, "a\n"), (0, "\n")], "[0-1] a\n"),
    ],
    ids=["same", "some", "twice", "mixed", "crossed", "late", "begun"],
)
def test_identical_lines_are_shown_once_and_each_rank_in_order(steps, expected):
    assert shown(screen(collapse=True), *steps) == expected


def test_numbers_are_written_as_ranges():
    assert output.spans({5, 0, 1, 2, 9, 8}) == "0-2,5,8-9"
    assert command.ranks("0,4-6") == {0, 4, 5, 6}
    for wrong in ("", "a", "3-1", "1,", "-1"):
        with pytest.raises(LaunchError, match="--only"):
            command.ranks(wrong)


def test_tags_of_64_ranks_of_any_program_are_never_torn():
    loop = 'for i in $(seq 1000); do printf "rank %s " "$PMI_RANK$OMPI_COMM_WORLD_RANK"; echo "line $i"; done'
    result = jobs.run(*RUN, "-n", "64", "--tag", "sh", "-c", loop)
    assert result.returncode == 0, result.stderr
    found = [re.fullmatch(r"\[(\d+)\] rank (\d+) line (\d+)", line) for line in result.stdout.splitlines()]
    assert all(found), next(line for line, match in zip(result.stdout.splitlines(), found, strict=True) if not match)
    for rank in range(64):
        assert [int(m[3]) for m in found if int(m[1]) == int(m[2]) == rank] == list(range(1, 1001))


def test_streams_stay_apart():
    result = jobs.job(3, SPEAK, options=["--tag"])
    assert jobs.lines(result) == sorted(f"[{r}] {text}" for r in range(3) for text in ("same", f"rank {r}"))
    assert sorted(result.stderr.splitlines()) == [f"[{r}] error {r}" for r in range(3)]


def test_one_file_for_both_streams_keeps_their_order(tmp_path):
    code = "import sys\nfor i in range(200): print(i, file=(sys.stdout, sys.stderr)[i % 2])"
    with open(tmp_path / "both", "w") as file:
        subprocess.run([*RUN, "-n", "1", "-c", code], stdout=file, stderr=file, check=True, timeout=jobs.LIMIT)
    assert (tmp_path / "both").read_text().split() == [str(i) for i in range(200)]


def test_collapse_in_a_job():
    result = jobs.job(8, SPEAK, options=["--collapse"])
    assert "[0-7] same" in result.stdout.splitlines()
    assert len(result.stdout.splitlines()) == 9


def test_only_hides_the_others_but_not_why_one_failed():
    assert jobs.lines(jobs.job(3, SPEAK, options=["--only", "1"])) == ["rank 1", "same"]
    result = jobs.job(3, SPEAK + "if rank == '2': sys.exit('broken')", options=["--only", "0,1", "--tag"])
    assert result.returncode == 1
    assert "broken" in result.stderr
    assert "[2]" not in result.stdout
    result = jobs.job(3, SPEAK, options=["--only", "3"])
    assert result.returncode == 2
    assert "--only 3: the job has 3 ranks" in result.stderr


def test_a_file_for_each_rank(tmp_path):
    folder = tmp_path / "new folder"
    jobs.job(12, SPEAK, options=["--output", str(folder)])
    assert jobs.job(11, SPEAK, options=["--output", str(folder)]).stdout == ""
    assert sorted(os.listdir(folder)) == [f"rank-{r:02}.txt" for r in range(11)], "files of the first job are gone"
    assert sorted((folder / "rank-03.txt").read_text().splitlines()) == ["error 3", "rank 3", "same"]
    result = jobs.job(2, SPEAK, options=["--output", str(folder), "--only", "0"])
    assert result.stdout == "same\nrank 0\n"
    assert "rank 1" in (folder / "rank-1.txt").read_text()
    result = jobs.job(1, "", options=["--output", "/dev/null/x"])
    assert (result.returncode, result.stderr) == (2, "mmpi run: --output /dev/null/x: Not a directory\n")


def test_a_reader_that_goes_away_ends_the_job_quietly():
    process = subprocess.Popen([*RUN, "-n", "2", "yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(jobs.LIMIT) == 128 + 13
    assert b"Traceback" not in process.stderr.read(), "the launcher may say what it likes"
    process.stderr.close()


def test_a_reader_that_stops_reading_does_not_keep_the_job():
    process = subprocess.Popen([*RUN, "-n", "2", "yes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    time.sleep(1)
    process.terminate()
    try:
        assert process.wait(20) == 143
    finally:
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize(("option", "prompt"), [((), b"name? "), (("--tag",), b"[0] name? "), (("--collapse",), b"[0] name? ")])
def test_a_terminal_shows_prompts_and_progress_at_once(option, prompt):
    code = 'print("\\r 50%", end=""); print("\\r 99%"); print("name? ", end=""); import time; time.sleep(60)'
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*RUN, "-n", "1", *option, "-c", code], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + jobs.LIMIT / 2
    while not seen.endswith(prompt) and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.5)[0]:
            seen += os.read(ours, 4096)
    process.terminate()
    assert process.wait(20) == 143
    os.close(ours)
    assert seen.endswith(prompt), seen
    assert b"\r 99%\r\n" in seen.replace(b"[0] ", b"") + b"\r 99%\r\n" * (option == ("--collapse",))


# --- the launcher's own words --------------------------------------------------------------------------------------

MPICH_SAYS = f"""
{"=" * 83}
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 12 RUNNING AT a
=   EXIT CODE: 9
{"=" * 83}
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)
This typically refers to a problem with your application.
Please see the FAQ page for debugging suggestions
"""
OPENMPI_SAYS = f"""{"-" * 74}
prterun noticed that process rank 0 with PID 12 on node a exited on
signal 9 (Killed).
{"-" * 74}
\0{"-" * 74}
MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD

NOTE: ...
{"-" * 74}
"""
OTHERS_SAY = f"\n\nresult\n{'=' * 70}\n\n{'-' * 80}\nprterun was unable to launch it\n{'-' * 80}\n== half\n{'=' * 61}\nThis is mine\n\n"


@pytest.mark.parametrize("piece", [1, 2, 7, 83, 10_000])
def test_only_what_launchers_say_of_failed_ranks_is_held_back(piece):
    chatter = Chatter(1)
    said = (OTHERS_SAY + MPICH_SAYS + "a" + OTHERS_SAY + OPENMPI_SAYS + OTHERS_SAY).encode()
    shown = b"".join(chatter.feed(said[i : i + piece]) for i in range(0, len(said), piece))
    assert shown + chatter._begin == (OTHERS_SAY + "a" + OTHERS_SAY + OTHERS_SAY).encode()
    assert chatter.held.decode() == MPICH_SAYS + OPENMPI_SAYS.replace("\0", "")


def test_the_begin_of_a_line_is_shown_at_once():
    chatter = Chatter(1)
    assert [chatter.feed(data) for data in (b"name? ", b"x\n", b"=", b"=> ", b"\n")] == [b"name? ", b"x\n", b"", b"==> ", b"\n"]


def test_a_failed_job_has_one_report():
    for end, status in (("os.kill(os.getpid(), 9)", 137), ("mmpi.abort(5)", 5), ("sys.exit(3)", 3)):
        ended = jobs.job(2, f"import os, sys, mmpi\nrank, _ = mmpi.init()\nmmpi.barrier()\nif rank: {end}\nmmpi.barrier()")
        assert (ended.returncode, ended.stdout) == (status, "")
        assert all(line.startswith(("mmpi run: ", "  ")) for line in ended.stderr.splitlines()), ended.stderr
        assert ended.stderr.count("mmpi run: rank 1 ") == 1


def test_what_a_launcher_says_is_told_if_there_is_no_other_report():
    """Its ranks came and went before anybody could see them."""
    ended = jobs.run(*RUN, "-n", "2", "sh", "-c", "kill -9 $$")
    assert ended.returncode == 137 and ended.stderr != ""
