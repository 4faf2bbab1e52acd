# SPDX-License-Identifier: BSD-3-Clause
"""A worker: it receives calls, makes them, and sends back what came of them, until it is told to stop.

A call is a tuple (function, args, kwargs), an order to stop is None. The answer has the call's tag. It is the result, or
a Failure if there is none: the call raised, could not be unpickled, or its result could not be pickled. So whatever goes
wrong with a call ends that call and no other. After a call that took long, those that came meanwhile are sent Back.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
import traceback
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

from mmpi import MPI, library

MAIN_RUN_NAME = "__worker__"  # the main program's __name__ here, so that it does not begin again
QUICK = 0.01  # seconds; who makes quick calls gets some ahead
_here = threading.local()  # .comm: the workers, where this thread is one
_importing = False


class RemoteTraceback(Exception):
    """The cause of an exception that a worker raised: which worker, and its traceback."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text


class Back(NamedTuple):
    """The answer to a call that was not begun."""


class Failure(NamedTuple):
    """What a call that failed sends back: the exception, pickled, if that is possible, and what is to be read of it."""

    data: bytes | None
    summary: str
    text: str
    where: str

    def exception(self) -> BaseException:
        """The worker's exception, with its traceback as the cause; a RuntimeError if it cannot travel."""
        error: BaseException | None = None
        if self.data is not None:
            try:
                error = pickle.loads(self.data)
            except Exception:  # its class is not known here, say
                error = None
        if not isinstance(error, BaseException):
            error = RuntimeError(self.summary)
        error.__cause__ = RemoteTraceback(f'\n"""\n{self.where}\n{self.text}"""')
        error.add_note(f"raised by {self.where}")
        return error


def be_patient(patient: bool) -> None:
    """From now on this thread, when it waits in MPI for long, sleeps between looks; unless MMPI_WAIT says how to wait."""
    if os.environ.get("MMPI_WAIT", "auto") in ("", "auto"):
        library.load()._set_patience(patient)


def be_worker(comm: MPI.Intracomm) -> None:
    """This thread makes calls for a pool."""
    _here.comm = comm


def get_comm_workers() -> MPI.Intracomm:
    """The communicator of the workers, in a call that one of them makes; RuntimeError elsewhere."""
    comm: MPI.Intracomm | None = getattr(_here, "comm", None)
    if comm is None:
        raise RuntimeError("get_comm_workers() is for functions that workers of a pool call")
    return comm


def where() -> str:
    """This worker, in words."""
    comm = get_comm_workers()
    return f"worker {comm.Get_rank()} of {comm.Get_size()}, host {socket.gethostname()}, pid {os.getpid()}"


def failure(error: BaseException) -> Failure:
    """What is sent of an exception. One that pickles, but cannot be made again of that, is no use to anybody."""
    text = "".join(traceback.format_exception(error))
    data: bytes | None = None
    try:
        data = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        if not isinstance(pickle.loads(data), BaseException):
            data = None
    except BaseException:
        data = None
    return Failure(data, "".join(traceback.format_exception_only(error)).strip(), text, where())


def serve(comm: MPI.Intercomm, workers: MPI.Intracomm) -> None:
    """Make the calls that process 0 of the other group sends."""
    _here.comm = workers
    status = MPI.Status()
    receive, send, get_tag, clock = comm.recv, comm.send, status.Get_tag, time.perf_counter
    be_patient(True)
    try:
        while True:
            try:
                call = receive(None, 0, MPI.ANY_TAG, status)
            except (MPI.Exception, KeyboardInterrupt):
                raise
            except BaseException as error:  # it cannot be unpickled
                _reply(send, failure(error), get_tag())
                continue
            if call is None:
                return
            began = clock()
            _reply(send, _make(call), get_tag())
            call = None
            if clock() - began > QUICK and _give_back(comm):
                return
    finally:
        be_patient(False)
        _here.comm = None


def _give_back(comm: MPI.Intercomm) -> bool:
    """Send back what has come and was not begun; True if it was an order to stop."""
    while message := comm.improbe(0, MPI.ANY_TAG):
        status = MPI.Status()
        try:
            if message.recv(status) is None:
                return True
        except MPI.Exception:
            raise
        except Exception as error:  # it cannot be unpickled
            comm.send(failure(error), 0, status.Get_tag())
        else:
            comm.send(Back(), 0, status.Get_tag())
    return False


def _make(call: Any) -> Any:
    try:
        return call[0](*call[1], **call[2])
    except BaseException as error:
        return failure(error)


def _reply(send: Any, answer: Any, tag: int) -> None:
    try:
        send(answer, 0, tag)
    except MPI.Exception:
        raise
    except BaseException as error:  # it cannot be pickled
        send(failure(error), 0, tag)


# --- preparing a worker ------------------------------------------------------------------------------------------


class Options(NamedTuple):
    """What a worker has to know of the process that it works for."""

    main: tuple[str, str] | None  # ("module" or "path", name) of the main program
    globals: dict[str, Any]
    path: list[str]  # is to be found there too
    wdir: str | None
    env: dict[str, str]
    argv: list[str]
    alias: bool  # is mpi4py another name of mmpi?


def main_program() -> tuple[str, str] | None:
    """How to import the main program elsewhere; None if it is no file: a prompt, python -c."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return "module", spec.name
    path = getattr(main, "__file__", None)
    if path and spec is not None:  # a folder or zip file that is a program
        path = os.path.dirname(path)
    return ("path", os.path.abspath(path)) if path and os.path.exists(path) else None


def prepare(options: Options) -> None:
    """Make this process like the one that it works for, as far as calls can tell."""
    os.environ.update(options.env)
    if options.wdir:
        os.chdir(options.wdir)
    sys.path.extend(folder for folder in options.path if folder not in sys.path)
    if options.alias:
        from mmpi import compat

        compat.install()
    if options.main and MAIN_RUN_NAME not in sys.modules:
        sys.argv = list(options.argv)
        _import_main(*options.main, options.globals)


def refuse_recursion() -> None:
    """A main program that starts a pool when it is imported would do so in each worker too, for ever."""
    if _importing:
        raise RuntimeError(
            "the main program starts a pool while a worker imports it: put that under `if __name__ == '__main__':`"
        )


def _import_main(kind: str, name: str, variables: Mapping[str, Any]) -> None:
    """Run the main program as module __worker__, also known as __main__, of which calls are unpickled."""
    global _importing
    module = types.ModuleType(MAIN_RUN_NAME)
    module.__dict__.update(variables)
    before = sys.modules.get("__main__")
    sys.modules["__main__"] = sys.modules[MAIN_RUN_NAME] = module
    _importing = True
    try:
        code, file, package = _code_of_module(name) if kind == "module" else _code_of_file(name)
        module.__dict__.update(__file__=file, __package__=package, __cached__=None)
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[MAIN_RUN_NAME]
        if before:
            sys.modules["__main__"] = before
        raise
    finally:
        _importing = False


def _code_of_module(name: str) -> tuple[types.CodeType, str | None, str | None]:
    import importlib.util

    spec = importlib.util.find_spec(name)
    loader: Any = spec and spec.loader
    if spec is None or loader is None:
        raise ImportError(f"no module named {name!r}", name=name)
    return loader.get_code(name), spec.origin, spec.parent


def _code_of_file(path: str) -> tuple[types.CodeType, str | None, str | None]:
    import io
    import pkgutil

    importer: Any = pkgutil.get_importer(path)
    if importer is not None:  # a folder or zip file
        sys.path.insert(0, path)
        spec = importer.find_spec("__main__")
        return spec.loader.get_code("__main__"), spec.origin, ""
    if os.path.dirname(path) not in sys.path:
        sys.path.insert(0, os.path.dirname(path))
    with io.open_code(path) as file:
        return compile(file.read(), path, "exec"), path, None
