# SPDX-License-Identifier: BSD-3-Clause
"""Attributes of communicators, datatypes and windows, and what MPI itself keeps there."""

import gc
import weakref

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])


def window():
    return MPI.Win.Create(np.zeros(4), comm=MPI.COMM_SELF)


MAKERS = {"comm": lambda: MPI.COMM_SELF.Dup(), "type": lambda: MPI.DOUBLE.Dup()}
if hasattr(MPI, "Win"):
    MAKERS["win"] = window


@pytest.fixture(params=MAKERS)
def owner(request):
    with MAKERS[request.param]() as made:
        yield made


@pytest.fixture
def keyval(owner):
    made = owner.Create_keyval()
    yield made
    assert owner.Free_keyval(made) == MPI.KEYVAL_INVALID


class Thing:
    """Something that can be watched."""


def test_set_get_delete(owner, keyval):
    thing = Thing()
    assert owner.Get_attr(keyval) is None
    owner.Set_attr(keyval, thing)
    assert owner.Get_attr(keyval) is thing
    owner.Set_attr(keyval, None)
    assert owner.Get_attr(keyval) is None
    owner.Delete_attr(keyval)
    assert owner.Get_attr(keyval) is None


def test_the_attribute_owns_its_value(owner, keyval):
    thing = Thing()
    watch = weakref.ref(thing)
    owner.Set_attr(keyval, thing)
    del thing
    gc.collect()
    assert owner.Get_attr(keyval) is watch()
    owner.Set_attr(keyval, "another")
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize(
    "copy, copied", [(None, False), (False, False), (True, True), (lambda o, k, v: NotImplemented, False)]
)
def test_copies_of_a_duplicate(owner, copy, copied):
    if not hasattr(owner, "Dup"):
        pytest.skip("windows cannot be duplicated")
    keyval = owner.Create_keyval(copy)
    thing = Thing()
    owner.Set_attr(keyval, thing)
    with owner.Dup() as other:
        assert other.Get_attr(keyval) is (thing if copied else None)
    owner.Free_keyval(keyval)


def test_callbacks_see_object_keyval_and_value(owner):
    seen = []

    def copy(obj, keyval, value):
        seen.append(("copy", type(obj), obj == owner, keyval, value))
        return value + 1

    def delete(obj, keyval, value):
        seen.append(("delete", type(obj), bool(obj), keyval, value))

    keyval = owner.Create_keyval(copy, delete)
    owner.Set_attr(keyval, 5)
    expected = []
    if hasattr(owner, "Dup"):
        with owner.Dup() as other:
            assert other.Get_attr(keyval) == 6
        expected = [("copy", type(owner), True, keyval, 5), ("delete", type(owner), True, keyval, 6)]
    owner.Delete_attr(keyval)
    assert seen == [*expected, ("delete", type(owner), True, keyval, 5)]
    owner.Free_keyval(keyval)


def test_freeing_the_object_deletes_its_attributes(owner):
    gone = []
    keyval = owner.Create_keyval(delete_fn=lambda *args: gone.append(args[2]))
    owner.Set_attr(keyval, "value")
    number = keyval
    owner.Free_keyval(number)  # the attribute stays
    owner.free()
    assert gone == ["value"]


def test_a_failing_delete_is_told(owner, capfd):
    def delete(obj, keyval, value):
        if value:
            raise ValueError("not now")

    keyval = owner.Create_keyval(delete_fn=delete)
    value = [1]
    owner.Set_attr(keyval, value)
    with pytest.raises(MPI.Exception):
        owner.Delete_attr(keyval)
    value.clear()
    owner.Delete_attr(keyval)
    value.append(1)
    owner.Set_attr(keyval, value)
    owner.Free_keyval(keyval)
    owner.free()  # without the key, nobody could delete the attribute any more
    assert not owner and "not now" in capfd.readouterr().err


def test_addresses(owner):
    keyval = owner.Create_keyval(True, nopython=True)
    for value in (0, 1, 2**40):
        owner.Set_attr(keyval, value)
        assert owner.Get_attr(keyval) == value
    with pytest.raises(TypeError):
        owner.Set_attr(keyval, "text")
    if hasattr(owner, "Dup"):
        with owner.Dup() as other:
            assert other.Get_attr(keyval) == 2**40
    owner.Free_keyval(keyval)


def test_misuse(owner):
    with pytest.raises(TypeError, match="copy_fn"):
        owner.Create_keyval(3)
    with pytest.raises(TypeError, match="delete_fn"):
        owner.Create_keyval(None, "x")
    with pytest.raises(MPI.Exception):
        owner.Get_attr(MPI.KEYVAL_INVALID)
    with pytest.raises(MPI.Exception):
        owner.Set_attr(MPI.KEYVAL_INVALID, 1)


def test_many_keyvals_leave_nothing(owner):
    watches = []
    for _ in range(300):
        keyval, thing = owner.Create_keyval(lambda o, k, v: v, lambda o, k, v: None), Thing()
        watches.append(weakref.ref(thing))
        owner.Set_attr(keyval, thing)
        owner.Delete_attr(keyval)
        owner.Free_keyval(keyval)
    del thing
    gc.collect()
    assert not any(watch() for watch in watches)


def test_what_mpi_keeps():
    world = MPI.COMM_WORLD
    assert world.Get_attr(MPI.TAG_UB) >= 32767 - 1024  # a few at the top are ours
    world.Send(b"", MPI.PROC_NULL, world.Get_attr(MPI.TAG_UB))
    assert world.Get_attr(MPI.WTIME_IS_GLOBAL) in (0, 1, None)
    assert world.Get_attr(MPI.LASTUSEDCODE) >= MPI.ERR_LASTCODE
    size = world.Get_attr(MPI.UNIVERSE_SIZE)
    assert size is None or size >= world.size
    with pytest.raises(MPI.Exception):
        world.Set_attr(MPI.TAG_UB, 3)
