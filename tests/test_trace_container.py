# SPDX-License-Identifier: BSD-3-Clause
"""The merged file of a trace: what was written is read, damage is told."""

import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trace_samples
from mmpi import _merge
from mmpi.trace import container

INT64 = st.integers(-(2**63), 2**63 - 1)
quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def leb(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def encoded(values, coding):
    """What the column should look like, by the words of the format's page."""
    before, out = 0, b""
    for value in values:
        code = value if coding == "plain" else value - before if coding == "delta" else value
        code = (code + 2**63) % 2**64 - 2**63
        out += leb(code % 2**64 if coding == "plain" else code << 1 if code >= 0 else (-code << 1) - 1)
        before = value
    return out


@quick
@given(st.lists(INT64), st.sampled_from(["delta", "plain", "zigzag"]))
def test_columns_are_coded_as_the_page_says(values, coding):
    data = _merge.encode(np.array(values, "i8"), coding)
    assert data == encoded(values, coding)
    assert np.frombuffer(_merge.decode(data, len(values), coding), "i8").tolist() == values


@quick
@given(st.binary(max_size=60), st.integers(0, 60), st.sampled_from(["delta", "plain", "zigzag"]))
def test_any_bytes_decode_or_are_refused(data, n, coding):
    try:
        values = np.frombuffer(_merge.decode(data, n, coding), "i8")
    except ValueError as error:
        assert str(error).startswith("decode: ")
    else:
        assert np.frombuffer(_merge.decode(_merge.encode(values, coding), n, coding), "i8").tolist() == values.tolist()


@pytest.mark.parametrize("data, n", [(b"\x80", 1), (b"\xff" * 9 + b"\x02", 1), (b"\x80" * 10 + b"\0", 1), (b"\0\0", 1), (b"\0", 2), (b"", -1)])
def test_columns_that_do_not_fit_are_refused(data, n):
    with pytest.raises(ValueError, match="decode: "):
        _merge.decode(data, n, "plain")


def test_unknown_coding_is_refused():
    with pytest.raises(ValueError, match="coding base64 is unknown"):
        _merge.encode(b"", "base64")
    with pytest.raises(ValueError, match="7 bytes are no 64-bit integers"):
        _merge.encode(b"1234567", "plain")


def same(a, b):
    assert a.meta == b.meta
    for name in container.LISTS:
        assert getattr(a, name) == getattr(b, name)
    for name in container.COLUMNS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("rows, calls, lost", [(1, 10, 0), (2, 100, 1), (5, 3000, 7), (2, 300_000, 0)])
def test_what_was_written_is_read(tmp_path, rows, calls, lost):
    trace = trace_samples.sample(rows, calls, seed=rows, lost=lost)
    trace.write(tmp_path / "a.mmpit")
    back = container.load(tmp_path / "a.mmpit")
    same(trace, back)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mmpit"]
    entries = container.Reader(tmp_path / "a.mmpit").footer["calls"]
    assert max(entry["n"] for entry in entries) <= 65536
    for entry in entries:
        block = back.calls[entry["first"] : entry["first"] + entry["n"]]
        assert (block["row"] == entry["row"]).all()
        assert (block["start"][0], block["end"].max()) == (entry["start"], entry["end"])


def test_sample_makes_sense():
    trace = trace_samples.sample(5, 4000, lost=3)
    calls = trace.calls
    assert (calls["end"][trace.messages["receive_done"]] >= calls["start"][trace.messages["send"]]).all()
    assert np.array_equal(calls["world_peer"][trace.messages["send"]], calls["row"][trace.messages["receive"]])
    assert np.array_equal(calls["world_peer"][trace.messages["receive"]], calls["row"][trace.messages["send"]])
    assert (np.diff(calls["start"][trace.messages["send"]]) >= 0).all()
    assert trace.unmatched["why"].tolist() == [1, 1, 1, 2, 2, 2]
    assert len(trace.messages) == (calls["operation"] == 1).sum() + ((calls["operation"] == 4) & (calls["peer"] >= 0)).sum() - 3


def test_derived_columns():
    comms = [container.NO_COMM, {"gid": "a", "members": [3, -1]}, {"gid": "b", "members": [0], "remote": [5, 6]}]
    calls = {name: [0] * 6 for name, _ in container.COLUMNS["calls"]} | {"row": [0, 0, 0, 0, 0, 1]}
    calls |= {"start": [1, 2, 3, 4, 5, 0], "duration": [1] * 6, "comm": [0, 1, 1, 2, 1, 1], "peer": [0, 0, 1, 1, -2, 9]}
    trace = container.Trace({}, [{"rank": 3}, {"rank": 0}], [{"name": "MPI_Send"}], (), comms, (), calls)
    assert trace.calls["world_peer"].tolist() == [-1, 3, -1, 6, -2, -1]
    assert trace.calls["end"].tolist() == [2, 3, 4, 5, 6, 1]
    assert [row["calls"] for row in trace.rows] == [5, 1]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"operation": [0, 1]}, r"calls\[1\]: operation is 1, which must be from 0 to 0"),
        ({"row": [0, 2]}, r"calls\[1\]: row is 2"),
        ({"start": [2, 1]}, "order of rows, then start"),
        ({"site": None}, "calls lacks the column site"),
    ],
)
def test_traces_that_make_no_sense_are_refused(change, message):
    calls = {name: [0, 0] for name, _ in container.COLUMNS["calls"]} | {"row": [0, 0]} | change
    with pytest.raises(ValueError, match=message):
        container.Trace({}, [{}], [{}], calls={name: values for name, values in calls.items() if values is not None})


def test_chunks_are_the_file(tmp_path):
    """With nothing but the page of the format, the parts give the trace."""
    trace = trace_samples.sample(3, 900)
    trace.write(tmp_path / "a.mmpit")
    parts = list(container.chunks(tmp_path / "a.mmpit"))
    footer = json.loads(zlib.decompress(parts[0].data))
    data = (tmp_path / "a.mmpit").read_bytes()
    assert footer["meta"] == trace.meta
    assert [part.table for part in parts] == ["footer"] + [table for table in container.COLUMNS for _ in footer[table]]
    for part in parts:
        assert data[part.entry["offset"] :][: part.entry["length"]] == part.data
    block = zlib.decompress(parts[1].data)
    length = struct.unpack_from("<I", block)[0]
    assert block[4 : 4 + length] == encoded(trace.calls["start"][: parts[1].entry["n"]].tolist(), "delta")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("container") / "whole.mmpit"
    trace_samples.small(lost=2).write(path)
    return path.read_bytes()


def outcome(path, data):
    """Reading it gives a trace, or an error that names the file."""
    path.write_bytes(data)
    try:
        return container.load(path)
    except container.TraceError as error:
        assert str(error).startswith(f"{path}: ")
        return error


@settings(quick, max_examples=200)
@given(st.data())
def test_truncated_files_are_told(tmp_path, whole, data):
    length = data.draw(st.integers(0, len(whole) - 1))
    assert isinstance(outcome(tmp_path / "cut.mmpit", whole[:length]), container.TraceError)


@settings(quick, max_examples=500)
@given(st.data())
def test_flipped_bits_are_told_or_harmless(tmp_path, whole, data):
    damaged = bytearray(whole)
    for bit in data.draw(st.lists(st.integers(0, 8 * len(whole) - 1), min_size=1, max_size=4)):
        damaged[bit // 8] ^= 1 << bit % 8
    outcome(tmp_path / "flipped.mmpit", damaged)


@settings(quick, max_examples=300)
@given(st.data())
def test_footers_that_lie_are_told(tmp_path, whole, data):
    """Damage that no checksum finds: values of the footer."""
    offset, length, magic = container.TAIL.unpack(whole[-container.TAIL.size :])
    footer = json.loads(zlib.decompress(whole[offset : offset + length]))
    key = data.draw(st.sampled_from(sorted(footer)))
    junk = data.draw(st.sampled_from([None, -1, 2**70, 1.5, "x", [], [1], {}, {"n": 1}]))
    if isinstance(footer[key], list) and footer[key] and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(footer[key]) - 1))
        if isinstance(footer[key][at], dict) and data.draw(st.booleans()):
            footer[key][at][data.draw(st.sampled_from(sorted(footer[key][at])))] = junk
        else:
            footer[key][at] = junk
    else:
        footer[key] = junk
    packed = zlib.compress(json.dumps(footer).encode())
    outcome(tmp_path / "lies.mmpit", whole[:offset] + packed + container.TAIL.pack(offset, len(packed), magic))


def test_other_files_are_told(tmp_path):
    (tmp_path / "a.txt").write_text("hello, this is no trace")
    with pytest.raises(container.TraceError, match=r"a\.txt: this is no merged trace"):
        container.load(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.mmpit"):
        container.load(tmp_path / "none.mmpit")


def test_a_failed_write_leaves_nothing(tmp_path):
    trace = trace_samples.small()
    trace.meta["bad"] = object()
    with pytest.raises(TypeError):
        trace.write(tmp_path / "a.mmpit")
    assert list(tmp_path.iterdir()) == []


def test_importing_needs_neither_numpy_nor_mpi():
    code = "import sys, mmpi.trace, mmpi.trace.container; print(*[m for m in sys.modules if m == 'numpy' or m.startswith('mmpi._core')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, "")


def test_the_command_helps():
    command = [sys.executable, "-m", "mmpi", "trace"]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert helped.returncode == 0
    for word in ("merge", "report", "view", "export", "import"):
        assert f"\n  {word} " in helped.stdout
    wrong = subprocess.run([*command, "mergw"], capture_output=True, text=True)
    assert (wrong.returncode, wrong.stderr) == (2, "mmpi trace: unknown command mergw; did you mean `mmpi trace merge`?\n")
