# SPDX-License-Identifier: BSD-3-Clause
"""The names of mmpi.MPI: all that mpi4py has, of the same kind, whatever the MPI library; what is private there and public in practice."""

import json

import pytest

from jobs import lines, serial
from requirements import need

# What stays mpi4py's own.
WITHOUT = {
    "__pyx_capi__": "functions for Cython",
    "__pyx_vtable__": "of Cython",
    "_keyval_registry": "where mpi4py keeps attribute keys",
    "_commctx_intra": "what mpi4py's own pkl5 stands on",
    "_commctx_inter": "the same",
}

LOOK = """
import inspect, json
import {package}
{package}.rc.initialize = False
from {package} import MPI

def kind(value):
    return "function" if callable(value) and not inspect.isclass(value) else type(value).__name__

names = {{name: kind(getattr(MPI, name)) for name in dir(MPI) if not name.startswith("__")}}
classes = {{name: [attribute for attribute in dir(value)] for name, value in vars(MPI).items() if inspect.isclass(value)}}
print(json.dumps([names, classes]))
"""


def names_of(package):
    result = serial(LOOK.format(package=package))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def both():
    need("mpi4py")
    return names_of("mpi4py"), names_of("mmpi")


def test_every_name(both):
    (theirs, _), (ours, _) = both
    assert len(theirs) > 380
    assert {name: kind for name, kind in theirs.items() if ours.get(name) != kind and name not in WITHOUT} == {}


def test_every_attribute_of_every_class(both):
    (_, theirs), (_, ours) = both
    assert len(theirs) > 25 and sum(map(len, theirs.values())) > 1500
    missing = {name: set(attributes) - set(ours.get(name, [])) - set(WITHOUT) for name, attributes in theirs.items()}
    assert {name: attributes for name, attributes in missing.items() if attributes} == {}


def test_what_is_left_out_is_there(both):
    (names, classes), _ = both
    there = {*names, *(attribute for attributes in classes.values() for attribute in attributes), "__pyx_capi__"}
    assert set(WITHOUT) <= there


def test_docstrings():
    """A line that names the thing, as call or property, then sentences; and no module on the way of who walks through MPI."""
    code = """
    import inspect
    import mmpi
    mmpi.rc.initialize = False
    from mmpi import MPI
    things = [value for name, value in vars(MPI).items() if not name.startswith("_")]
    classes = [value for value in things if inspect.isclass(value)]
    things += [value for owner in classes for name, value in vars(owner).items() if not name.startswith("_")]
    kinds = inspect.isbuiltin, inspect.ismethoddescriptor, inspect.isgetsetdescriptor
    documented = [thing for thing in things if any(kind(thing) for kind in kinds)]
    for thing in documented:
        name, _, doc = (thing.__doc__ or "").partition("\\n")
        if not name.partition("(")[0].isidentifier() or not doc[:1].isupper() or not doc.endswith("."):
            print(thing, repr(doc))
    print(len(documented) > 500, any(inspect.ismodule(value) for value in vars(MPI).values()))
    """
    result = serial(code)
    assert lines(result) == ["True False"], result.stdout
