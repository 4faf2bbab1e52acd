# SPDX-License-Identifier: BSD-3-Clause
"""Info: as MPI's object, and as a mapping."""

import gc
import pickle
import sys

import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])


@pytest.fixture
def info():
    with MPI.Info.Create({"b": "2", "a": "1"}) as made:
        yield made
    assert not made


def test_create_from_mapping_pairs_info_and_nothing(info):
    assert MPI.Info.Create().items() == []
    assert MPI.Info.Create([("x", "y")]).items() == [("x", "y")]
    assert MPI.Info.Create(info).items() == info.items() == [("b", "2"), ("a", "1")]
    with pytest.raises(TypeError, match="items"):
        MPI.Info.Create(3)
    with pytest.raises(TypeError):
        MPI.Info.Create({"a": 1})


def test_mpi_methods(info):
    assert info.Get("a") == "1" and info.Get("none") is None
    info.Set("a", "äöü")
    assert info.Get("a") == "äöü" and info.Get_nkeys() == 2 and info.Get_nthkey(0) == "b"
    info.Delete("a")
    assert info.keys() == ["b"]
    with pytest.raises(MPI.Exception) as caught:
        info.Delete("a")
    assert caught.value.Get_error_class() == MPI.ERR_INFO_NOKEY
    with pytest.raises(MPI.Exception):
        info.Get_nthkey(7)


def test_dup_is_a_copy(info):
    copy = info.Dup()
    copy["a"] = "9"
    assert copy != info and info["a"] == "1" and copy.keys() == info.keys()
    assert info.copy().items() == info.items()


def test_the_longest_key_and_value(info):
    key, value = "k" * (MPI.MAX_INFO_KEY - 1), "v" * (MPI.MAX_INFO_VAL - 1)
    info[key] = value
    assert info[key] == value
    with pytest.raises(MPI.Exception):
        info["k" * (MPI.MAX_INFO_KEY + 1)] = "too long"


def test_as_a_mapping(info):
    assert len(info) == 2 and "a" in info and "c" not in info and list(info) == ["b", "a"]
    assert dict(info) == {"a": "1", "b": "2"} and info.values() == ["2", "1"]
    info["c"] = "3"
    del info["b"]
    assert info.get("b") is None and info.get("b", "x") == "x"
    with pytest.raises(KeyError):
        _ = info["b"]
    with pytest.raises(KeyError):
        del info["b"]
    info.update({"a": "4"}, d="5")
    assert info.popitem() == ("d", "5") and info.pop("a") == "4" and info.pop("a", None) is None
    with pytest.raises(KeyError):
        info.pop("a")
    info.clear()
    assert len(info) == 0 and info  # as a handle it is true
    with pytest.raises(KeyError):
        info.popitem()


@pytest.mark.parametrize("bad", [3, None, b"a"])
def test_keys_and_values_are_str(info, bad):
    with pytest.raises(TypeError):
        info[bad] = "x"
    with pytest.raises(TypeError):
        info["x"] = bad
    with pytest.raises(TypeError):
        info.Get(bad)


def test_the_null_info():
    null = MPI.INFO_NULL
    assert not null and len(null) == 0 and "a" not in null and null.items() == [] and null.copy() == null
    for action in (lambda: null["a"], lambda: null.update(a="b"), lambda: null.pop("a"), null.popitem):
        with pytest.raises(KeyError):
            action()
    with pytest.raises(MPI.Exception):
        null.Set("a", "b")


def test_the_environment():
    for key in ("command", "maxprocs", "wdir"):
        assert MPI.INFO_ENV.Get(key) is None or isinstance(MPI.INFO_ENV[key], str)
    try:
        made = MPI.Info.Create_env()
    except NotImplementedError:
        assert MPI.Get_version() < (4, 0)
        return
    assert isinstance(made.items(), list)
    MPI.Info.Create_env([sys.executable, "x"]).Free()
    with pytest.raises(TypeError, match="args"):
        MPI.Info.Create_env([1])


def test_pickle(info):
    assert pickle.loads(pickle.dumps(info)).items() == info.items()
    assert pickle.loads(pickle.dumps(MPI.INFO_ENV)) is MPI.INFO_ENV
    assert pickle.loads(pickle.dumps(MPI.Info(MPI.INFO_ENV))) == MPI.INFO_ENV


def test_repr(info):
    assert repr(info) == "<Info {'b': '2', 'a': '1'}>"
    assert repr(MPI.INFO_NULL) == "<Info null>" and repr(MPI.INFO_ENV) == "<Info INFO_ENV>"


def test_an_info_frees_itself():
    infos = [MPI.Info.Create({"a": str(i)}) for i in range(1000)]
    second = MPI.Info(infos[7])
    del infos
    gc.collect()
    assert second["a"] == "7"  # of the first, which lives as long


def test_communicators_take_them(mmpi_comm, info):
    with mmpi_comm.Dup(info) as comm:
        assert comm.size == mmpi_comm.size
    with mmpi_comm.Split_type(MPI.COMM_TYPE_SHARED, 0, info) as comm:
        assert comm.size >= 1
