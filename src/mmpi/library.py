# SPDX-License-Identifier: BSD-3-Clause
"""Which MPI library, and why: the one place where it is chosen.

`locate()` decides from files alone, so that a launcher, which must not load an MPI into itself, knows what its ranks
will load. `select()` makes the same choice and opens it; `load()` also imports the core that was compiled for it.
Nothing here initializes MPI. The order of the choice is that of `_places`, and docs/libraries.md tells it to users.
"""

from __future__ import annotations

import itertools
import os
import site
import sys
import threading

from .elf import Library, Unusable, examine, read_elf, same_library
from .evidence import Launcher as Launcher
from .evidence import launcher_evidence as launcher_evidence
from .evidence import launcher_family
from .record import Record
from .waiting import YIELDING, shares_cores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# Never libmpi.so: that is a linker script in the wheels, and Intel's is a second copy of libmpi.so.12.
NAMES = ("libmpi.so.12", "libmpich.so.12", "libmpi.so.40", "libmpi_abi.so.1", "libmpi_abi.so.0")
FOLDERS = ("lib", "lib64", f"lib/{os.uname().machine}-linux-gnu", "lib/release")
MAKERS = ("mpich", "impi", "openmpi")  # in this order where one folder has several
KINDS = (*MAKERS, "std", "site")
TITLES = {"mpich": "MPICH", "impi": "Intel MPI", "openmpi": "Open MPI"}
BATCH = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "COBALT_JOBID", "PJM_JOBID", "PE_HOSTFILE")
FABRICS = ("/sys/class/infiniband", "/sys/class/cxi", "/sys/class/hfi1", "/sys/class/bxi")
ADVICE = 'Install one (pip install "maroonmpi[mpich]"), or set MMPI_LIBMPI to the path of one.'


class LibraryError(ImportError):
    """No MPI library can be used. `rejected` lists every candidate and why it is none."""

    def __init__(self, message: str, rejected: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.rejected = rejected


class Choice(Record):
    """The MPI library that was chosen, and how."""

    path: str
    name: str  # its SONAME
    family: str  # std, mpich, openmpi or site: the core that fits it
    maker: str  # mpich, impi or openmpi: whose launcher starts it
    reason: str
    prefix: str | None
    spins: bool = False  # while it waits, unless waiting.YIELDING is loaded before it
    rejected: tuple[tuple[str, str], ...] = ()


# --- Where to look, in order ---------------------------------------------------------------------------------------


class Wish(Record):
    """What MMPI_LIBMPI asks for: one of path, soname and kind."""

    text: str
    path: str | None = None
    soname: str | None = None
    kind: str | None = None


class Place(Record):
    """Folders to look into, and why."""

    reason: str
    folders: list[str]
    family: str | None = None  # of the launcher that stands there, if its name tells


def _wish() -> Wish | None:
    text = os.environ.get("MMPI_LIBMPI", "").strip()
    if not text:
        return None
    if text in KINDS:
        return Wish(text, kind=text)
    if "/" in text:
        return Wish(text, path=os.path.abspath(os.path.expanduser(text)))
    if ".so" in text:
        return Wish(text, soname=text)
    kinds = ", ".join(KINDS)
    raise LibraryError(f"MMPI_LIBMPI={text}: give the path of a library, a name like libmpi.so.12, or one of {kinds}")


def which(program: str) -> str | None:
    """Like shutil.which, whose import costs every rank more than all the rest here."""
    paths = (os.path.abspath(os.path.join(folder, program)) for folder in os.get_exec_path() if folder)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def _below(*prefixes: str | None) -> list[str]:
    return [os.path.join(prefix, folder) for prefix in prefixes if prefix for folder in FOLDERS]


def _python_place() -> Place:
    prefix = sys.prefix
    virtual = sys.prefix != sys.base_prefix or os.path.isdir(os.path.join(prefix, "conda-meta"))
    folders = [] if prefix in ("/usr", "/") else _below(prefix)  # those are the loader's
    if site.ENABLE_USER_SITE:
        folders += _below(site.getuserbase())
    return Place(f"{'this virtual environment' if virtual else 'the prefix of this Python'}: {prefix}", folders)


def _mpiexec_place(batch: str | None) -> Place | None:
    """The MPI of the first mpiexec on PATH: what a module system or Spack has put there."""
    found = which("mpiexec")
    if not found:
        return None
    real = os.path.realpath(found)
    family = next(filter(None, map(launcher_family, _revealing_names(found, real))), None)
    where = f"the first mpiexec on PATH: {found}"
    folders = _below(*(os.path.dirname(os.path.dirname(path)) for path in (real, found)))
    return Place(f"{where}, inside a batch allocation ({batch})" if batch else where, folders, family)


def _revealing_names(*paths: str) -> list[str]:
    """File names of an mpiexec that tell whose it is: plain mpiexec does not, mpiexec.hydra and orterun do."""
    names = [os.path.basename(path) for path in paths]
    return [name.partition("mpiexec.")[2] or name for name in names if name != "mpiexec"]


def _cached_folders(cache: bytes) -> Iterator[tuple[int, bytes]]:
    """Where in the loader's cache the path of an MPI library stands, and its folder. (A loop over all paths takes milliseconds.)"""
    for name in NAMES:
        end, at = f"/{name}\0".encode(), -1
        while (at := cache.find(end, at + 1)) >= 0:
            yield at, cache[cache.rfind(b"\0", 0, at) + 1 : at]


def _loader_places() -> list[Place]:
    listed = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":") if folder]
    try:
        with open("/etc/ld.so.cache", "rb") as file:
            cache = file.read()
    except OSError:
        cache = b""
    cached = [os.path.realpath(os.fsdecode(folder)) for _, folder in sorted(_cached_folders(cache))]
    usual = [path for folder in FOLDERS[:3] for path in (f"/usr/{folder}", f"/{folder}")]
    places = [Place(f"LD_LIBRARY_PATH: {':'.join(listed)}", listed)] if listed else []
    return [*places, Place("the loader's default folders", [*dict.fromkeys(cached), *usual])]


def _places(launcher: Launcher | None) -> Iterator[Place]:
    if launcher and launcher.prefix:
        other = os.environ.get("OPAL_PREFIX" if launcher.family == "openmpi" else "I_MPI_ROOT")
        folders = _below(launcher.prefix, other)
        yield Place(f"the launcher that started us: {launcher.executable}", folders, launcher.family)
    batch = next((name for name in BATCH if os.environ.get(name)), None)
    mpiexec = _mpiexec_place(batch)
    if mpiexec and batch:
        yield mpiexec
    yield _python_place()
    if mpiexec and not batch:
        yield mpiexec
    yield from _loader_places()


def _site_library() -> Library | None:
    """The MPI that the core of this site was linked to, if there is such a core."""
    here = os.path.dirname(os.path.abspath(__file__))
    built = [name for name in _files(here, "_core_site") if name.endswith(".so")]
    if not built:
        return None
    core = os.path.join(here, built[0])
    try:
        elf = read_elf(core)
    except Unusable as why:
        raise LibraryError(f"{core} was built for this site, but {why}") from None
    folders = [folder.replace("$ORIGIN", here).replace("${ORIGIN}", here) for folder in elf.runpath if folder]
    folders += [folder for place in _loader_places() for folder in place.folders]
    for name, folder in itertools.product((name for name in elf.needed if "mpi" in name), folders):
        try:
            return examine(os.path.join(folder, name)).replace(family="site")
        except Unusable:
            continue
    needed = ", ".join(elf.needed)
    raise LibraryError(f"{core} was built for this site, but none of {needed} is an MPI library that can be found")


# --- The choice ----------------------------------------------------------------------------------------------------


class Search:
    """Goes through the places in order; what it passes over is noted with the reason."""

    def __init__(self) -> None:
        self.rejected: dict[str, str] = {}
        self.chosen: Choice | None = None
        self.wish = _wish()
        self.launcher = launcher_evidence()
        self.seen: set[str] = set()

    def acceptable(self) -> Iterator[Choice]:
        """The libraries that fit, best first. After the last one the list of the rejected is complete."""
        there = _in_process(self)
        if there:
            yield there
        elif self.wish and self.wish.path:
            yield self.named(self.wish.path)
            return
        elif not self.wish or self.wish.kind == "site":
            built_for = _site_library()
            if built_for:
                yield _choice(built_for, "this installation was built for it (MMPI_MPICC)")
            elif self.wish:
                self.rejected["a core of this site"] = "mmpi was not built with MMPI_MPICC"
        for place in _places(self.launcher):
            yield from self.visit(place)

    def named(self, path: str) -> Choice:
        """The library whose path the user gave: it or none."""
        try:
            if os.path.isdir(path):
                raise Unusable("it is a folder; name the library in it")
            library = examine(path)
            self.check(library)
        except Unusable as why:
            raise LibraryError(f"MMPI_LIBMPI={path} cannot be used: {why}", ((path, str(why)),)) from None
        return _choice(library, "MMPI_LIBMPI names it")

    def visit(self, place: Place) -> Iterator[Choice]:
        """The libraries in this place that fit."""
        files = self.files(place)
        found = []
        for path in files:
            try:
                if self.chosen:
                    raise Unusable(f"comes later ({place.reason})")
                library = examine(path)
                self.check(library)
                self.match(library, place)
                found.append(library)
            except Unusable as why:
                self.rejected[path] = str(why)
        found.sort(key=lambda library: (MAKERS.index(library.maker), library.family == "std"))
        wished = f"MMPI_LIBMPI={self.wish.text}; " if self.wish else ""
        for library in found:
            yield _choice(library, wished + place.reason)

    def files(self, place: Place) -> list[str]:
        """Files of the right names in this place that were not met before; a place without any is noted."""
        names = (self.wish.soname,) if self.wish and self.wish.soname else NAMES
        there: dict[str, str] = {}  # a file once, by the first of its paths: lib64 is often a link to lib
        for path in _existing(place.folders, names):
            there.setdefault(os.path.realpath(path), path)
        if not there:
            self.rejected[place.reason] = f"no {'MPI library' if names is NAMES else names[0]} there"
        fresh = [path for real, path in there.items() if real not in self.seen]
        self.seen.update(there)
        return fresh

    def check(self, library: Library) -> None:
        """Refuse what cannot work, whoever asks for it."""
        if library.family == "std" and library.maker == "impi":
            beside = os.path.join(os.path.dirname(library.path), "libmpi.so.12")
            raise Unusable(f"Intel's constants differ from the standard ABI's; use {beside}")
        if library.family is None:
            raise Unusable("its ABI is none that mmpi knows; build mmpi for it with MMPI_MPICC=mpicc pip install")

    def match(self, library: Library, place: Place) -> None:
        """Refuse what was not asked for, or would not find the other ranks."""
        kind = self.wish.kind if self.wish else None
        if kind and not _is_kind(library, kind):
            raise Unusable(f"it is {TITLES[library.maker]} ({library.soname}), and MMPI_LIBMPI={kind}")
        if self.wish:
            return
        if place.family and place.family != _launched_by(library):
            self.seen.discard(os.path.realpath(library.path))  # a later place may take it
            raise Unusable(f"it is {TITLES[library.maker]}, which is not started by {place.reason}")
        if self.launcher and self.launcher.family and self.launcher.family != _launched_by(library):
            raise Unusable(f"it is {TITLES[library.maker]}; {self.launcher.executable} does not start that")

    def rest(self, chosen: Choice, remaining: Iterator[Choice]) -> Choice:
        """Note what comes after the choice, which is no longer looked into."""
        self.chosen = chosen
        self.seen.add(os.path.realpath(chosen.path))
        for other in remaining:  # only those of the same place still come
            why = f"{TITLES[chosen.maker]} comes first where one place has both"
            if other.maker == chosen.maker:
                why = f"another library of the same MPI comes first: {os.path.basename(chosen.path)}"
            self.rejected[other.path] = why
        return chosen.replace(rejected=tuple(self.rejected.items()))

    def failure(self) -> LibraryError:
        """The error that says where was looked."""
        wished = f" for MMPI_LIBMPI={self.wish.text}" if self.wish else ""
        lines = "".join(f"\n  {candidate}: {why}" for candidate, why in self.rejected.items())
        return LibraryError(f"no usable MPI library{wished}. Looked at:{lines}\n{ADVICE}", tuple(self.rejected.items()))


def _existing(folders: list[str], names: tuple[str, ...]) -> Iterator[str]:
    paths = itertools.starmap(os.path.join, itertools.product(folders, names))
    return filter(os.path.isfile, paths)


def _files(folder: str, start: str) -> list[str]:
    """The names in a folder that start so."""
    try:
        return [name for name in os.listdir(folder) if name.startswith(start)]
    except OSError:
        return []


def _is_kind(library: Library, kind: str) -> bool:
    return kind == (library.family if kind in ("std", "site") else library.maker)


def _launched_by(library: Library) -> str:
    return "openmpi" if library.maker == "openmpi" else "mpich"


def _choice(library: Library, reason: str) -> Choice:
    path = os.path.abspath(library.path)
    return Choice(path, library.soname, library.family or "", library.maker, reason, _prefix(path), library.spins)


def _prefix(path: str) -> str | None:
    """The installation that a library belongs to: what holds its lib folder, by its own path or its target's."""
    prefixes = []
    for file in (path, os.path.realpath(path)):
        end = max(file.rfind(folder) for folder in ("/lib/", "/lib32/", "/lib64/"))
        prefixes += [file[:end] or "/"] if end >= 0 else []
    launchable = [prefix for prefix in prefixes if _files(os.path.join(prefix, "bin"), "mpiexec")]
    return next(iter(launchable + prefixes), None)


def _in_process(search: Search) -> Choice | None:
    """The MPI that this process already has, through another package or a C program, must be ours too."""
    there = opener().loaded()
    if not there:
        return None
    if len(there) > 1:
        raise LibraryError("two MPI libraries are in this process, which cannot work: " + " and ".join(there))
    path, wish = there[0], search.wish
    try:
        library = examine(path)
        built_for = _site_library()
        if built_for and same_library(built_for.path, path):
            library = library.replace(family="site")
        search.check(library)
    except Unusable as why:
        text = f"{path} is already in this process, and mmpi cannot use it: {why}"
        raise LibraryError(text, ((path, str(why)),)) from None
    if wish and not _agrees(wish, library):
        text = f"MMPI_LIBMPI={wish.text}, but {path} is already in this process, and two MPI libraries cannot work"
        raise LibraryError(text, ((wish.text, f"{path} is already in this process"),))
    return _choice(library, "already in this process" + (f" (MMPI_LIBMPI={wish.text} agrees)" if wish else ""))


def _agrees(wish: Wish, library: Library) -> bool:
    if wish.path:
        return same_library(wish.path, library.path)
    if wish.soname:
        return wish.soname in (library.soname, os.path.basename(library.path))
    return _is_kind(library, wish.kind or "")


def locate() -> Choice:
    """Choose the MPI library by looking at files; opens none. Raises `ImportError` with every candidate and why not."""
    if _chosen:
        return _chosen
    search = Search()
    choices = search.acceptable()
    for chosen in choices:
        return search.rest(chosen, choices)
    raise search.failure()


# --- Opening it ----------------------------------------------------------------------------------------------------

_lock = threading.RLock()
_chosen: Choice | None = None


def opener() -> ModuleType:
    """The C module that opens libraries; on a platform without it, one clear sentence."""
    system = sys.platform
    try:
        if system == "linux" and not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            system = "Linux with another C library"
    except (ValueError, OSError):
        system = "Linux with another C library"
    if system != "linux":
        raise LibraryError(f"mmpi runs on Linux with the GNU C library (glibc) only; this is {system}")
    from . import _load

    return _load


def select() -> Choice:
    """The choice of `locate`, opened: a candidate that does not open is passed over. Made once for the process."""
    global _chosen
    with _lock:
        if _chosen is None:
            search = Search()
            _chosen = _open_first(search, search.acceptable())
        return _chosen


def _open_first(search: Search, choices: Iterator[Choice]) -> Choice:
    for choice in choices:
        opened = bool(opener().loaded())
        before = start_defaults(choice, opened)
        try:
            if choice.spins and not opened and shares_cores(search.launcher.size if search.launcher else None):
                opener().load_first(YIELDING)
            family, path = opener().load(choice.path)
            if choice.family not in ("site", family):
                raise ImportError(f"it behaves as {family or 'an MPI of unknown ABI'}, its file as {choice.family}")
        except ImportError as error:
            _restore(before)
            search.rejected[choice.path] = f"does not open: {error}"
            if opener().loaded():  # it stays in the process: another one would be the second
                raise search.failure() from None
        else:
            _set_for_start.update(before)
            return search.rest(choice.replace(path=path), choices)
    raise search.failure()


def load_tool(file: str) -> None:
    """Open a tool that stands between us and the library that `select` will open. Raises ImportError if either does not open."""
    with _lock:
        choice = locate()
        _set_for_start.update(start_defaults(choice))
        opener().load_tool(file, choice.path)


def load() -> ModuleType:
    """Choose and open the MPI library, and import the core made for its family. Initializes nothing."""
    with _lock:
        core = sys.modules.get("mmpi._core")
        if core is None:
            choice = select()
            opener().withdraw()
            name = f"mmpi._core_{choice.family}"
            __import__(name)  # importlib's import takes longer than this
            core = sys.modules["mmpi._core"] = sys.modules[name]
        return core


# --- Defaults for the library's start ------------------------------------------------------------------------------


UCX_HOOKS = "UCX_MEM_MMAP_HOOK_MODE"
# Parts of Open MPI that harm where there is no fabric: btl/ofi sleeps a second, osc/ucx fails at each window, loudly and slowly.
WITHOUT_FABRIC = {"btl": "^ofi", "osc": "^ucx"}
_set_for_start: dict[str, str | None] = {}  # what start_defaults() set, with the old values


def start_defaults(choice: Choice, opened: bool = False) -> dict[str, str | None]:
    """Set what makes this library start well, unless the user has set it; return the old values of what was set.

    If it was `opened` already, its UCX has read its variables, and would warn of any that it has not seen.
    """
    wanted = {}
    if _brings_ucx(choice) and UCX_HOOKS not in os.environ and not opened:
        wanted[UCX_HOOKS] = "reloc"  # UCX's own default patches code: 40 ms for each process
        wanted["UCX_MEM_MALLOC_RELOC"] = "no"  # with its malloc in all libraries, each one that is opened later takes 100 ms
    if choice.maker == "openmpi":
        if "HOME" not in os.environ:  # without one Open MPI 5 aborts in MPI_Init
            wanted["HOME"] = _home()
        if not _has_fabric():
            configured = _openmpi_configures(choice)
            wanted.update((f"OMPI_MCA_{name}", without) for name, without in WITHOUT_FABRIC.items() if name not in configured)
    before = {name: os.environ.get(name) for name in wanted if name not in os.environ}
    os.environ.update((name, wanted[name]) for name in before)
    folder = _spawn_folder(choice)
    if folder:
        before["PATH"] = os.environ.get("PATH")
        os.environ["PATH"] = f"{folder}:{before['PATH'] or os.defpath}"
    return before


def forget_start_defaults() -> None:
    """After MPI_Init: take back what only it reads. A program started from here may use another MPI, to which it does harm."""
    _restore({name: value for name, value in _set_for_start.items() if name.startswith(("UCX_", "OMPI_MCA_"))})
    _set_for_start.clear()


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _brings_ucx(choice: Choice) -> bool:
    """Is UCX in the package of this MPI, as in the wheels? MPI_Init deadlocks with `reloc` in UCX 1.13, Debian 12's."""
    return any(os.path.exists(os.path.join(os.path.dirname(choice.path), folder, "libucm.so.0")) for folder in ("mpich", "openmpi"))


def _home() -> str:
    import pwd  # seldom needed

    try:
        return pwd.getpwuid(os.getuid()).pw_dir or "/"
    except KeyError:  # a container's nameless user; not a folder where others could leave settings
        return "/"


def _has_fabric() -> bool:
    try:
        return any(os.path.isdir(folder) and os.listdir(folder) for folder in FABRICS)
    except OSError:
        return True


def _openmpi_configures(choice: Choice) -> set[str]:
    """What Open MPI's parameter files set. The environment would override them."""
    names: set[str] = set()
    files = [os.path.join(os.environ.get("HOME") or "/", ".openmpi/mca-params.conf")]
    if choice.prefix:
        folder = "/etc/openmpi" if choice.prefix in ("/usr", "/") else os.path.join(choice.prefix, "etc")
        files.append(os.path.join(folder, "openmpi-mca-params.conf"))
    for path in files:
        try:
            with open(path, errors="replace") as file:
                names.update(name.strip() for name, sign, _ in (line.partition("=") for line in file) if sign)
        except OSError:
            pass
    return names


def _spawn_folder(choice: Choice) -> str | None:
    """The folder to put first on PATH so that MPI_Comm_spawn from a process without launcher finds its own helper."""
    folder = os.path.join(choice.prefix, "bin") if choice.prefix else None
    if folder is None or folder in ("/usr/bin", "/bin"):  # there, all programs would change places
        return None
    helpers = ("prte", "orted") if choice.maker == "openmpi" else ("mpiexec",)
    for helper in helpers:
        if os.path.exists(os.path.join(folder, helper)):
            found = which(helper)
            return None if found and os.path.dirname(found) == folder else folder
    return None
