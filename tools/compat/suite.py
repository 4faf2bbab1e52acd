#!/usr/bin/env python3
"""Run the mpi4py test suite against any package that claims mpi4py's API.

    suite.py --package NAME --mpi PREFIX --np 1 2 3 --cache DIR --json OUT.json
    suite.py --package NAME --mpi PREFIX --cache DIR --demos demos.txt

The tests come from the mpi4py source distribution, fetched through pip into
the cache folder.  When NAME is not "mpi4py", a shim makes `import mpi4py`
(and `python -m mpi4py.run`, spawned children, futures servers) mean NAME.
Each test module runs in its own mpiexec; every rank appends one JSON line per
test start and end, so a crash or a hang costs one test, not the results.
Standard library only.
"""

import argparse
import fnmatch
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import uuid
from pathlib import Path

try:
    from mmpi import compat, get_include
    from mmpi.launch import folder, hydra
except ImportError:     # when another package is judged from elsewhere
    folder = None

VERSION = "4.1.2"
EXTRAS = ["cffi", "dill", "PyYAML"]  # optional imports of some tests
BAD = ("crash", "hang", "error", "fail", "notrun")

# --------------------------------------------------------------------------
# Written to the temporary folder: sitecustomize.py and mpi4py/__init__.py.
# sitecustomize puts the alias first on sys.meta_path, so that it wins even
# where a child prepends a folder holding the real mpi4py to its sys.path.
# --------------------------------------------------------------------------
ALIAS = r'''
import importlib, importlib.util, importlib.machinery, sys
TARGET = {target!r}
ALIAS = "mpi4py"

class _Loader:
    """Gives the target's module under the alias name."""
    def __init__(self, real):
        self.real = real
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        # The target module object itself goes into sys.modules, with its own
        # __name__ and __spec__ (the import system returns what is there).
        sys.modules[module.__spec__.name] = importlib.import_module(self.real)
        for name, mod in list(sys.modules.items()):       # e.g. mpi4py.rc
            if name.startswith(TARGET + ".") and mod is not None:
                sys.modules.setdefault(ALIAS + name[len(TARGET):], mod)
    def _spec(self):
        return importlib.util.find_spec(self.real)
    def get_code(self, name):          # runpy
        return self._spec().loader.get_code(self.real)
    def get_source(self, name):        # linecache
        return self._spec().loader.get_source(self.real)
    def get_filename(self, name):
        return self._spec().origin
    def is_package(self, name):
        return self._spec().submodule_search_locations is not None

class _Finder:
    def find_spec(self, name, path=None, target=None):
        if name != ALIAS and not name.startswith(ALIAS + "."):
            return None
        real = TARGET + name[len(ALIAS):]
        try:
            found = importlib.util.find_spec(real)
        except ModuleNotFoundError as exc:
            if exc.name == TARGET:
                raise
            found = None
        if found is None:
            raise ModuleNotFoundError(f"No module named {{name!r}} "
                                      f"(alias of {{real!r}})", name=name)
        spec = importlib.machinery.ModuleSpec(
            name, _Loader(real), origin=found.origin,
            is_package=found.submodule_search_locations is not None)
        if found.submodule_search_locations is not None:
            spec.submodule_search_locations = list(
                found.submodule_search_locations)
        spec.has_location = found.has_location
        return spec

def install():
    if not any(type(f).__name__ == "_Finder" and hasattr(f, "alias")
               for f in sys.meta_path):
        finder = _Finder()
        finder.alias = TARGET
        sys.meta_path.insert(0, finder)
'''
SITECUSTOMIZE = "import _mpi4py_alias\n_mpi4py_alias.install()\n"
# Reached only if site was not run (python -S, -I): same effect, later.
SHIM_INIT = '''\
import sys
import _mpi4py_alias
_mpi4py_alias.install()
sys.modules[__name__] = __import__("importlib").import_module(
    _mpi4py_alias.TARGET)
'''

# --------------------------------------------------------------------------
# Written to the temporary folder: the per-rank unittest runner.
# --------------------------------------------------------------------------
RUNNER = r'''
import importlib, json, os, sys, time, traceback, unittest
# Pool workers run this file again under another name: only define things.
MAIN = __name__ == "__main__"
cfg = json.load(open(sys.argv[1])) if MAIN else {}
if MAIN:
    sys.argv[1:] = []
sys.dont_write_bytecode = True

def rank_from_env():
    for key in ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PMI_ID",
                "MPI_LOCALRANKID"):
        value = os.environ.get(key, "")
        if value.isdigit():
            return int(value)
    return 0

RANK = rank_from_env()
FD = os.open(os.path.join(cfg["out"], "rank%d.jsonl" % RANK),
             os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if MAIN else -1

def emit(**kw):
    kw["time"] = round(time.time(), 4)
    os.write(FD, (json.dumps(kw) + "\n").encode())

ORDER = {}

def lockstep(place):
    """Wait until no rank is in an earlier test, so that blame is exact.

    Not by MPI, which is under test; Iprobe only lets it make progress.
    """
    if cfg["np"] == 1:
        return
    from mpi4py import MPI
    fd = os.open(os.path.join(cfg["out"], "lockstep"),
                 os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, b"%7d\n" % place, 8 * RANK)
    end = time.time() + cfg["idle"] / 2
    turn = 0
    while time.time() < end:
        rows = os.pread(fd, 8 * cfg["np"], 0).split(b"\n")[:-1]
        if len(rows) == cfg["np"] and all(
                int(r.strip(b"\0 ") or b"-1") >= place for r in rows):
            break
        try:
            MPI.COMM_WORLD.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG)
        except Exception:
            pass
        turn += 1
        time.sleep(0 if turn < 50 else 0.0005)
    os.close(fd)

def short(err):
    text = "".join(traceback.format_exception(*err))
    return text[-cfg["detail"]:]

class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        lockstep(ORDER.get(test.id(), 0) + 1)
        self.events = []
        self.t0 = time.perf_counter()
        emit(ev="start", id=test.id())
    def note(self, what, detail=""):
        self.events.append((what, detail))
    def addSuccess(self, test):
        self.note("ok")
    def addError(self, test, err):
        if not isinstance(test, unittest.TestCase):     # setUpClass and such
            emit(ev="fixture", id=test.id(), st="error", detail=short(err))
            return
        self.note("error", short(err))
    def addFailure(self, test, err):
        self.note("fail", short(err))
    def addSkip(self, test, reason):
        if not isinstance(test, unittest.TestCase):
            emit(ev="fixture", id=test.id(), st="skip", detail=str(reason))
            return
        self.note("skip", str(reason))
    def addExpectedFailure(self, test, err):
        self.note("ok")
    def addUnexpectedSuccess(self, test):
        self.note("fail", "unexpected success")
    def addSubTest(self, test, subtest, err):
        if err is not None:
            bad = issubclass(err[0], test.failureException)
            text = subtest._subDescription() + "\n" + short(err)
            self.note("fail" if bad else "error", text)
    def stopTest(self, test):
        super().stopTest(test)
        kinds = dict(reversed(self.events))
        for st in ("error", "fail", "ok", "skip"):
            if st in kinds:
                break
        else:
            st = "ok"
        emit(ev="end", id=test.id(), st=st, detail=kinds.get(st, ""),
             sec=round(time.perf_counter() - self.t0, 4))

def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item

def main():
    """Read the command line, and run."""
    emit(ev="begin", pid=os.getpid())
    sys.path.insert(0, cfg["testdir"])
    for name in ("cupy", "numba"):
        sys.modules[name] = None
    try:
        pkg = importlib.import_module("mpi4py")
        MPI = importlib.import_module("mpi4py.MPI")
        emit(ev="package", name=pkg.__name__, path=str(pkg.__path__[0]),
             file=str(getattr(MPI, "__file__", "")),
             version=getattr(pkg, "__version__", "?"),
             vendor=str(MPI.get_vendor()), size=MPI.COMM_WORLD.Get_size(),
             rank=MPI.COMM_WORLD.Get_rank())
        if pkg.__name__ != cfg["package"]:
            raise RuntimeError("import mpi4py gave %r" % pkg.__name__)
        if MPI.COMM_WORLD.Get_size() != cfg["np"]:
            raise RuntimeError("COMM_WORLD has size %d, not %d: wrong mpiexec "
                               "for this MPI library?"
                               % (MPI.COMM_WORLD.Get_size(), cfg["np"]))
        module = importlib.import_module(cfg["module"])
    except unittest.SkipTest as exc:
        emit(ev="plan", ids=[])
        emit(ev="import", st="skip", detail=str(exc))
        emit(ev="done")
        return
    except BaseException:
        emit(ev="import", st="error", detail=short(sys.exc_info()))
        os._exit(3)       # other ranks may be waiting: let mpiexec end the job
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    tests = list(flatten(suite))
    emit(ev="plan", ids=[t.id() for t in tests])
    ORDER.update((t.id(), i) for i, t in enumerate(tests))
    omit = set(cfg["omit"])
    if omit:
        suite = unittest.TestSuite()
        groups = {}
        for t in tests:
            if t.id() not in omit:
                groups.setdefault(type(t), unittest.TestSuite()).addTest(t)
        suite.addTests(groups.values())
    result = Result()
    suite.run(result)
    lockstep(len(ORDER) + 1)
    emit(ev="done")

if MAIN:
    main()
    sys.stdout.flush(); sys.stderr.flush()
'''


def log(*args):
    """Print a line at once."""
    print(*args, flush=True)


def fetch(cache, python, version):
    """Source distribution through pip, unpacked in the cache folder."""
    tree = cache / f"mpi4py-{version}"
    if (tree / "test").is_dir():
        return tree
    ball = cache / f"mpi4py-{version}.tar.gz"
    if not ball.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Not ":all:": that would also compile the build tools from source.
        cmd = [python, "-m", "pip", "download", "-q", "--no-deps",
               "--no-binary", "mpi4py", "-d", str(cache), f"mpi4py=={version}"]
        log("+", shlex.join(cmd))
        subprocess.run(cmd, check=True)
    with tarfile.open(ball) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(cache, filter="data")
        else:
            tar.extractall(cache)
    return tree


def extras(cache, python, names):
    """Optional test dependencies, kept out of the environment under test."""
    tag = subprocess.run(
        [python, "-c", "import sys; print(sys.implementation.cache_tag)"],
        check=True, capture_output=True, text=True).stdout.strip()
    where = cache / f"extras-{tag}"
    stamp = where / "stamp"
    if names and not (stamp.exists() and stamp.read_text() == " ".join(names)):
        cmd = [python, "-m", "pip", "install", "-q", "--target", str(where),
               "--upgrade", *names]
        log("+", shlex.join(cmd))
        if subprocess.run(cmd).returncode == 0:
            stamp.write_text(" ".join(names))
    return where


class Job:
    """One command with a time limit; ends everything it started."""

    def __init__(self, cmd, env, cwd, out, text=""):
        self.mark = uuid.uuid4().hex
        env = dict(env, SUITE_JOB=self.mark)
        self.t0 = time.time()
        self.log = open(out, "ab")
        with tempfile.TemporaryFile() as source:
            source.write(text.encode())
            source.seek(0)
            self.proc = subprocess.Popen(
                cmd, env=env, cwd=cwd, stdin=source, stdout=self.log,
                stderr=subprocess.STDOUT, start_new_session=True)

    def left(self):
        """Ids of live processes that carry this job's mark."""
        mark = f"SUITE_JOB={self.mark}".encode()
        pids = []
        for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
            if entry.isdigit() and int(entry) != os.getpid():
                try:
                    env = Path("/proc", entry, "environ").read_bytes()
                except OSError:
                    continue
                if mark in env:
                    pids.append(int(entry))
        return pids

    def kill(self):
        for sig, pause in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 0.2)):
            try:
                os.killpg(self.proc.pid, sig)
            except OSError:
                pass
            for pid in self.left():
                try:
                    os.kill(pid, sig)
                except OSError:
                    pass
            end = time.time() + pause
            while time.time() < end and (self.proc.poll() is None
                                         or self.left()):
                time.sleep(0.05)

    def wait(self, limit, alive=None):
        """(exit status, None) or (None, why it was killed)."""
        try:
            return self._wait(limit, alive)
        except BaseException:       # Ctrl-C, SIGTERM: leave nothing behind
            self.kill()
            raise

    def _wait(self, limit, alive):
        why = None
        while self.proc.poll() is None:
            time.sleep(0.05)
            if time.time() - self.t0 > limit:
                why = f"time limit {limit:g} s"
            elif alive is not None:
                why = alive()
            if why:
                break
        if why or self.left():
            if not why:      # children that outlive mpiexec: a short grace
                time.sleep(0.3)
            self.kill()
        self.proc.wait()
        if folder:      # what ranks that were killed have left
            patterns = [*hydra.LEFTOVERS, "sm_segment.*"]
            folder.remove_leftovers(patterns, os.getuid(), self.t0)
        self.log.close()
        self.wall = time.time() - self.t0
        return (None, why) if why else (self.proc.returncode, None)


class Suite:
    """One run of the tests, or of the demos."""
    def __init__(self, opt):
        self.opt = opt
        self.prefix = Path(opt.mpi).absolute()
        self.python = opt.python or str(self.prefix / "bin" / "python")
        self.mpiexec = shlex.split(opt.mpiexec or
                                   str(self.prefix / "bin" / "mpiexec"))
        self.cache = Path(opt.cache).absolute()
        self.tree = fetch(self.cache, self.python, opt.version)
        self.work = Path(opt.work).absolute() if opt.work else Path(
            tempfile.mkdtemp(prefix="suite-"))
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / "runner.py").write_text(RUNNER)
        paths = []
        if opt.package != "mpi4py" and not opt.demos:       # those show mmpi's own alias
            shim = self.work / "shim"
            (shim / "mpi4py").mkdir(parents=True, exist_ok=True)
            (shim / "_mpi4py_alias.py").write_text(
                ALIAS.format(target=opt.package))
            (shim / "sitecustomize.py").write_text(SITECUSTOMIZE)
            (shim / "mpi4py" / "__init__.py").write_text(SHIM_INIT)
            paths.append(str(shim))
        paths += [str(Path(p).absolute()) for p in opt.path]
        if not opt.no_extra:
            paths.append(str(extras(self.cache, self.python, EXTRAS)))
        env = dict(os.environ)
        if env.get("PYTHONPATH"):
            paths.append(env["PYTHONPATH"])
        env["PYTHONPATH"] = os.pathsep.join(paths)
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        env["PATH"] = str(self.prefix / "bin") + os.pathsep + env["PATH"]
        # Open MPI: allow root (containers) and more ranks than cores.
        for key, val in (
                ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
                ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
                ("PRTE_ALLOW_RUN_AS_ROOT", "1"),
                ("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
                ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")):
            env.setdefault(key, val)
        for item in opt.env:
            key, _, val = item.partition("=")
            env[key] = val
        self.env = env

    # ---------------------------------------------------------------- tests
    def modules(self):
        names = sorted(p.stem for p in (self.tree / "test").glob("test_*.py"))
        globs = self.opt.modules or ["*"]
        keep = [n for n in names
                if any(fnmatch.fnmatchcase(n, g)
                       or fnmatch.fnmatchcase(n, "test_" + g)
                       for g in globs)]
        return [n for n in keep
                if not any(fnmatch.fnmatchcase(n, g)
                           or fnmatch.fnmatchcase(n, "test_" + g)
                           for g in self.opt.skip_modules)]

    def attempt(self, module, np, omit, folder, limit):
        folder.mkdir(parents=True, exist_ok=True)
        for old in (*folder.glob("rank*.jsonl"), *folder.glob("lockstep")):
            old.unlink()
        cfg = {"module": module, "np": np, "package": self.opt.package,
                   "omit": sorted(omit), "out": str(folder), "detail": self.opt.detail,
                   "idle": self.opt.idle, "testdir": str(self.tree / "test")}
        (folder / "cfg.json").write_text(json.dumps(cfg))
        cmd = [*self.mpiexec, "-n", str(np), self.python,
               str(self.work / "runner.py"), str(folder / "cfg.json")]
        cwd = folder / "cwd"
        cwd.mkdir(exist_ok=True)
        # Pool workers must be able to import the test module.
        env = dict(self.env, PYTHONPATH=os.pathsep.join(
            [self.env["PYTHONPATH"], cfg["testdir"]]).strip(os.pathsep))
        job = Job(cmd, env, cwd, folder / "output.txt")
        last = [time.time(), -1]

        def alive():
            size = 0
            for path in folder.glob("rank*.jsonl"):
                size += path.stat().st_size
            now = time.time()
            if size != last[1]:
                last[:] = [now, size]
            elif now - last[0] > self.opt.idle:
                return f"no progress for {self.opt.idle:g} s"
            return None

        rc, why = job.wait(limit, alive)
        shutil.rmtree(cwd, ignore_errors=True)
        ranks = []
        for rank in range(np):
            path = folder / f"rank{rank}.jsonl"
            rows = []
            if path.exists():
                for line in path.read_text(errors="replace").splitlines():
                    try:
                        rows.append(json.loads(line))
                    except ValueError:
                        pass
            ranks.append(rows)
        return rc, why, ranks, job.wall

    def run_module(self, module, np):
        """Merged results of one module; restarts after a crash or a hang."""
        base = self.work / f"np{np}" / module
        if base.exists():
            shutil.rmtree(base)
        final, details, secs = {}, {}, {}
        info = {"wall": 0.0, "restarts": 0, "note": "", "package": None}
        deadline = time.time() + self.opt.timeout
        plan = None
        while True:
            limit = deadline - time.time()
            if limit <= 1:
                info["note"] += "; module time used up"
                break
            folder = base / str(info["restarts"])
            rc, why, ranks, wall = self.attempt(
                module, np, set(final), folder, limit)
            info["wall"] += wall
            status, text, opened, ids, done = merge(ranks)
            for rows in ranks:
                for row in rows:
                    if row["ev"] == "package" and info["package"] is None:
                        info["package"] = {
                            k: row[k] for k in
                            ("name", "path", "version", "vendor", "file")}
                    if row["ev"] == "end":
                        secs[row["id"]] = max(secs.get(row["id"], 0),
                                              row["sec"])
            if ids is not None:
                plan = ids
            imp = [r for rows in ranks for r in rows if r["ev"] == "import"]
            if imp:
                key = f"{module}.__import__"
                final[key] = imp[0]["st"]
                details[key] = imp[0]["detail"]
                info["note"] = "import " + imp[0]["st"]
                break
            clean = rc is not None and done
            if clean and rc == 0:
                final.update(status)
                details.update(text)
                break
            kind = "hang" if why else "crash"
            # signal or exit status, and the tail of what mpiexec printed
            tail = tail_of(folder / "output.txt", 600)
            reason = why or f"exit status {rc}"
            if done:    # every test ended: trouble at exit only
                final.update(status)
                details.update(text)
                info["note"] = f"{kind} after the last test ({reason})"
                info["exit"] = kind
                info["exit_tail"] = tail
                break
            # Keep what every rank finished; blame the earliest open test.
            final.update(status)
            details.update(text)
            info["note"] = f"{kind}: {reason}"
            order = {t: i for i, t in enumerate(plan or [])}
            last = max((r["time"] for rows in ranks for r in rows), default=0)
            if why and why.startswith("time") and (
                    time.time() - last < self.opt.idle / 3):
                info["note"] = f"slow, not hung: {reason}; rest not run"
                break
            if opened:
                bad = min(opened, key=lambda t: order.get(t, 1 << 30))
                final[bad] = kind
                details[bad] = f"{reason}\n{text.get(bad, '')}\n{tail}"
            elif plan is None:
                final[f"{module}.__import__"] = kind
                details[f"{module}.__import__"] = f"{reason}\n{tail}"
                break
            else:       # died between tests (a fixture, or collection)
                rest = [t for t in plan if t not in final]
                if rest:
                    final[rest[0]] = kind
                    details[rest[0]] = f"{reason} (outside a test)\n{tail}"
            rest = [t for t in plan or [] if t not in final]
            if not rest or info["restarts"] >= self.opt.restarts:
                break
            info["restarts"] += 1
        for test in plan or []:
            final.setdefault(test, "notrun")
        info["wall"] = round(info["wall"], 2)
        info["tests"] = final
        info["detail"] = {k: v for k, v in details.items()
                          if v and final.get(k) != "ok"}
        slow = sorted(secs.items(), key=lambda kv: -kv[1])[:3]
        info["slowest"] = {k: round(v, 3) for k, v in slow}
        return info

    def run(self):
        opt = self.opt
        names = self.modules()
        report = {
            "package": opt.package, "suite": f"mpi4py {opt.version}",
            "mpi": self.prefix.name, "started": time.strftime("%Y-%m-%d %H:%M:%S"),
            "timeout": opt.timeout, "idle": opt.idle, "restarts": opt.restarts, "np": {}}
        baseline = (json.loads(Path(opt.baseline).read_text())
                    if opt.baseline else None)
        if opt.json and opt.update and Path(opt.json).exists():
            old = json.loads(Path(opt.json).read_text())
            report["np"] = old.get("np", {})
        skipids = read_patterns(opt.not_applicable)
        exitcode = 0
        for np in opt.np:
            part = report["np"].setdefault(str(np), {"modules": {}})
            log(f"== {opt.package} np={np}: {len(names)} modules")
            log(f"{'module':24s}{'ok':>5}{'skip':>5}{'fail':>5}{'err':>5}"
                f"{'crash':>6}{'hang':>5}{'notrun':>7}{'wall':>8}  note")
            t0 = time.time()
            for name in names:
                info = self.run_module(name, np)
                part["modules"][name] = info
                c = info["count"] = count(info["tests"].values())
                log(f"{name:24s}{c['ok']:5}{c['skip']:5}{c['fail']:5}"
                    f"{c['error']:5}{c['crash']:6}{c['hang']:5}"
                    f"{c['notrun']:7}{info['wall']:8.1f}  {info['note']}")
                pkg = info.get("package")
                if pkg and "package" not in part:
                    part["package"] = pkg
                    log(f"   ({pkg['name']} {pkg['version']}, "
                        f"{pkg['vendor']}, {pkg['file']})")
                self.save(report)
            part["wall"] = round(sum(
                m["wall"] for m in part["modules"].values()), 1)
            c = part["total"] = count(
                s for m in part["modules"].values()
                for s in m["tests"].values())
            log(f"-- np={np}: {sum(c.values())} tests: ok {c['ok']}, "
                f"skipped {c['skip']}, failed {c['fail'] + c['error']} "
                f"(fail {c['fail']}, error {c['error']}), crashed/hung "
                f"{c['crash'] + c['hang']} (crash {c['crash']}, hang "
                f"{c['hang']}), not run {c['notrun']}; "
                f"{time.time() - t0:.0f} s")
            ends = [n for n, m in part["modules"].items() if m.get("exit")]
            if ends:
                log("   trouble at exit, after the last test:", *ends)
            if baseline is not None:
                self.score(baseline, part, np, names, skipids)
            if opt.list_fail:
                list_fail(part, names)
            if any(st in BAD and not matches(test, skipids)
                   for m in part["modules"].values()
                   for test, st in m["tests"].items()):
                exitcode = 1
            self.save(report)
        return exitcode

    def score(self, baseline, part, np, names, skipids):
        base = baseline["np"].get(str(np))
        if base is None:
            log(f"   no baseline for np={np}")
            return
        want = {t for n, m in base["modules"].items() if n in names
                for t, s in m["tests"].items() if s == "ok"}
        have = {t for m in part["modules"].values()
                for t, s in m["tests"].items() if s == "ok"}
        na = {t for t in want if matches(t, skipids)}
        got = len(want & have)
        part["score"] = [got, len(want)]
        log(f"   score = {got} / {len(want)} baseline ok"
            f" = {got / max(1, len(want)):.4f}")
        if skipids:
            w = want - na
            part["score_applicable"] = [len(w & have), len(w)]
            log(f"   score without the {len(na)} not applicable = "
                f"{len(w & have)} / {len(w)} = "
                f"{len(w & have) / max(1, len(w)):.4f}")
        worse = sorted(want - have - na)
        part["worse_than_baseline"] = worse
        if worse and self.opt.list_fail:
            log("   ok in the baseline, not ok here:")
            for t in worse:
                log("     ", t)

    def save(self, report):
        if self.opt.json:
            path = Path(self.opt.json)
            tmp = path.with_suffix(".tmp")
            text = json.dumps(report, indent=1, sort_keys=True) + "\n"
            for name, folder in (("SUITE", self.tree), ("WORK", self.work),
                                 ("CACHE", self.cache), ("MPI", self.prefix)):
                text = text.replace(str(folder), f"<{name}>")
            tmp.write_text(text)
            tmp.replace(path)

    # ---------------------------------------------------------------- demos
    def demos(self):
        """Lines 'WHERE FOLDER COMMAND...', expected to exit with status 0.

        WHERE is a number of ranks (0: no mpiexec) for a Python command line,
        or 'sh' for a shell line with $PYTHON, $SITE (its packages), $MPIEXEC,
        $CFLAGS and $LDFLAGS set.  A last word 'stdin=TEXT' is given to the
        command as its input.  mmpi stands in for mpi4py as for a user: by its
        own alias, also in Pythons that no launcher started.
        """
        bad, rows = 0, []
        tree = self.work / "tree"          # demos may write beside themselves
        for sub in ("demo", "test"):
            if not (tree / sub).exists():
                shutil.copytree(self.tree / sub, tree / sub)
        env = dict(self.env, PYTHON=self.python,
                   MPIEXEC=shlex.join(self.mpiexec))
        if self.opt.package == "mmpi":
            headers, folder = (sysconfig.get_path("include"), get_include()), sysconfig.get_config_var("LIBDIR")
            env |= compat.environment(env) | {
                "CFLAGS": " ".join(f"-I{path}" for path in headers), "SITE": sysconfig.get_path("purelib"),
                "LDFLAGS": f"-L{folder} -Wl,-rpath,{folder} -lpython{sysconfig.get_config_var('LDVERSION')}"}
        for line in Path(self.opt.demos).read_text().splitlines():
            line = line.split("  # ")[0].strip()
            if not line or line.startswith("#"):
                continue
            where, folder, *args = shlex.split(line)
            text = ""
            if args[-1].startswith("stdin="):
                text = args.pop()[6:] + "\n"
            if where == "sh":
                cmd = ["sh", "-c", " ".join(args)]
            else:
                cmd = [self.python, *args]
                if int(where):
                    cmd = [*self.mpiexec, "-n", where, *cmd]
            out = self.work / "demo.txt"
            out.write_bytes(b"")
            job = Job(cmd, env, tree / "demo" / folder, out, text)
            rc, why = job.wait(self.opt.timeout)
            text = out.read_text(errors="replace")
            ran = [w for w in text.splitlines() if w.startswith(("Ran ", "FAILED", "OK"))]
            good = rc == 0
            bad += not good
            log(f"{'ok  ' if good else 'FAIL'} {job.wall:6.1f} s  {line}"
                f"  {' | '.join(ran)}"
                + ("" if good else f"  [{why or f'exit status {rc}'}]"))
            if not good and self.opt.list_fail:
                log("      " + text[-1500:].replace("\n", "\n      "))
            rows.append({"line": line, "rc": rc, "why": why, "ok": good,
                             "wall": round(job.wall, 2), "unittest": ran})
        log(f"-- demos: {len(rows) - bad} ok of {len(rows)}")
        if self.opt.json:
            Path(self.opt.json).write_text(json.dumps(
                {"package": self.opt.package, "mpi": self.prefix.name,
                     "demos": rows}, indent=1) + "\n")
        return 1 if bad else 0


def tail_of(path, size):
    """The end of a text file."""
    try:
        return path.read_text(errors="replace")[-size:]
    except OSError:
        return ""


def merge(ranks):
    """Per-test status over all ranks.

    Returns (status of tests ended on every rank, details, tests open on some
    rank, planned ids or None, True if every rank reached the end).
    """
    ids, fixtures, opened = None, {}, set()
    ends = []
    for rows in ranks:
        end, start = {}, None
        for row in rows:
            ev = row["ev"]
            if ev == "plan":
                ids = row["ids"]
            elif ev == "start":
                start = row["id"]
            elif ev == "end":
                end[row["id"]] = row
                start = None
            elif ev == "fixture":
                fixtures.setdefault(row["id"], row)
        if start is not None:
            opened.add(start)
        ends.append(end)
    done = all(any(r["ev"] == "done" for r in rows) for rows in ranks)
    status, text = {}, {}
    seen = set().union(*ends) if ends else set()
    for test in seen:
        states = [e[test]["st"] for e in ends if test in e]
        for r, e in enumerate(ends):
            if test in e and e[test]["detail"]:
                text.setdefault(test, f"[rank {r}] {e[test]['detail']}")
        if len(states) < len(ranks) and not done:
            continue
        for st in ("error", "fail"):
            if st in states:
                for r, e in enumerate(ends):
                    if test in e and e[test]["st"] == st:
                        text[test] = f"[rank {r}] {e[test]['detail']}"
                        break
                status[test] = st
                break
        else:
            status[test] = "ok" if "ok" in states else "skip"
    for name, row in fixtures.items():     # e.g. "setUpClass (mod.Class)"
        inner = name.partition("(")[2].rstrip(")")
        for test in ids or []:
            if inner and test.startswith(inner + ".") and test not in status:
                status[test] = row["st"]
                text[test] = f"{name}: {row['detail']}"
    return status, text, opened - set(status), ids, done


def count(states):
    """How many tests are in each state."""
    c = dict.fromkeys(("ok", "skip", "fail", "error", "crash", "hang",
                       "notrun"), 0)
    for s in states:
        c[s] += 1
    return c


def list_fail(part, names):
    """Print what is not well."""
    log("   not ok:")
    for name in names:
        info = part["modules"].get(name)
        if info is None:
            continue
        for test, st in sorted(info["tests"].items()):
            if st in BAD:
                lines = [x for x in info["detail"].get(test, "").splitlines()
                         if x.strip()]
                log(f"     {st:6s} {test}: {lines[-1][:110] if lines else ''}")


def matches(test, patterns):
    """Is the id of a test one of these patterns?"""
    return any(fnmatch.fnmatchcase(test, p) for p in patterns)


def read_patterns(path):
    """The patterns of a file, one a line."""
    pats = []
    if path:
        for line in Path(path).read_text().splitlines():
            line = line.split("#")[0].strip()
            if line:
                pats.append(line.split()[0])
    return pats


def main():
    """Read the command line, and run."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--package", default="mpi4py", metavar="NAME")
    p.add_argument("--mpi", required=True, metavar="PREFIX",
                   help="environment whose bin/mpiexec and bin/python to use")
    p.add_argument("--python", help="other Python interpreter")
    p.add_argument("--mpiexec", help="other mpiexec command")
    p.add_argument("--np", type=int, nargs="+", default=[1])
    p.add_argument("--modules", nargs="+", metavar="GLOB",
                   help="test modules, e.g. 'test_p2p*' or 'p2p*'")
    p.add_argument("--skip-modules", nargs="+", default=[], metavar="GLOB")
    p.add_argument("--timeout", type=float, default=300,
                   help="seconds per test module, restarts included (or demo)")
    p.add_argument("--idle", type=float, default=90,
                   help="seconds without a test starting or ending")
    p.add_argument("--restarts", type=int, default=4,
                   help="restarts of a module after crashes or hangs")
    p.add_argument("--path", action="append", default=[],
                   help="folder that holds the package, if not installed")
    p.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    p.add_argument("--cache", required=True, help="folder for the sources")
    p.add_argument("--version", default=VERSION)
    p.add_argument("--no-extra", action="store_true",
                   help="do not fetch " + ", ".join(EXTRAS))
    p.add_argument("--work", help="folder for raw per-rank results")
    p.add_argument("--json", metavar="OUT")
    p.add_argument("--update", action="store_true",
                   help="add to an existing --json file")
    p.add_argument("--baseline", metavar="FILE")
    p.add_argument("--not-applicable", metavar="FILE",
                   help="id patterns left out of the second score")
    p.add_argument("--detail", type=int, default=1200,
                   help="characters of traceback kept")
    p.add_argument("--list-fail", action="store_true")
    p.add_argument("--demos", metavar="FILE", help="run demo lines instead")
    opt = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    suite = Suite(opt)
    log(f"raw results: {suite.work}")
    return suite.demos() if opt.demos else suite.run()


if __name__ == "__main__":
    sys.exit(main())
