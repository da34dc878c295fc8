# Everything a developer runs.  The first call makes .venv; later calls reuse it.
# A change of C++, CMake or pyproject.toml reinstalls the package; a change of Python needs nothing (editable install).

PYTHON ?= python3
ifeq ($(origin CXX),default)
CXX := g++
endif
export CXX
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export CMAKE_BUILD_PARALLEL_LEVEL = $(JOBS)

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# No build isolation: the compiler's work in build/ can be reused, because the build tools stay where they are.
# CUDA=AUTO or ON builds the CUDA backend too, for every target; its tests make one of their own.
CUDA ?= OFF
INSTALL := $(PIP) install --no-build-isolation --config-settings=build-dir=build/editable \
  --config-settings=cmake.define.MODELWATCH_CUDA=$(CUDA) --config-settings=cmake.define.MODELWATCH_TESTS=ON
SOURCES := pyproject.toml CMakeLists.txt CMakePresets.json $(shell find cpp cuda -type f 2>/dev/null)
PROBE := '\#include <bit>\n\#include <concepts>\n\#include <span>\nint main() { return std::span<int>{}.empty() ? 0 : 1; }\n'

.PHONY: help demo test test-cpp test-python test-kills test-cuda gates planted lint sanitize fuzz bench bench-peers clean FORCE
.DELETE_ON_ERROR:

help:
	@echo 'make demo    run the main job on the bundled flights log and write report.html; then its months one by one'
	@echo 'make test    C++ tests, then Python tests (test-cpp, test-python for one of them)'
	@echo 'make test-kills  a monitor killed 200 times ends where an uninterrupted one does'
	@echo 'make test-cuda  the tests marked gpu without a GPU: kernels are interpreted (needs nvcc; TESTS=tests/agreement for a part)'
	@echo 'make gates   what nvcc makes of the CUDA kernels, for every target: spills, wide loads, no compare-and-swap'
	@echo 'make planted  bugs put into the CUDA kernels one at a time; each must be found by a named test'
	@echo 'make lint    ruff, mypy, and the rules of tools/check_layout.py'
	@echo 'make bench   the benchmarks'
	@echo 'make bench-peers  beside Evidently, NannyML, whylogs and others, in environments of their own'
	@echo 'make sanitize  the C++ tests under AddressSanitizer with UBSan, then under ThreadSanitizer'
	@echo 'make fuzz    look for inputs that break the engine or the loader (needs clang; RUNS=1000000 LIMIT=600)'
	@echo 'make clean   remove .venv, build folders and caches'
	@echo 'Needs Python 3.11 or newer (PYTHON=python3.12 to choose) and a C++20 compiler (CXX=g++-12 to choose).'

demo: .venv/installed-core
	$(BIN)/modelwatch demo --html report.html
	@echo "The report is $(CURDIR)/report.html"
	$(BIN)/modelwatch demo monitor

test: test-cpp test-python

# Linked with the objects that the package was linked with, so the engine is compiled once.
test-cpp: build/editable/CTestTestfile.cmake
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake --build build/editable --parallel $(JOBS) --target cpp_tests
	$(BIN)/ctest --test-dir build/editable --output-on-failure --no-tests=error --parallel $(JOBS)

test-python: .venv/installed-dev
	$(BIN)/python -m pytest tests -rs -n $(JOBS) --dist worksteal

# kill -9 under a monitor, 200 times for each database.
test-kills: .venv/installed-dev
	MODELWATCH_KILLS=200 $(BIN)/python -m pytest tests/monitor/test_killed_runs.py -rs -s

# The CUDA backend with the stand-in for the CUDA runtime (tests/ptx), as an old target gets it and as a new one does:
# PTX_DEVICE=75 chooses the first.
# PTX_SEED=1 PTX_BLOCK_ORDER=reversed and the like choose schedules; see tests/ptx/README.md.
NVCC ?= $(firstword $(CUDACXX) $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA_BUILD := build/cuda-ptx
TESTS ?= tests/agreement $(wildcard tests/cuda) tests/python

ifeq ($(NVCC),)
test-cuda:
	@echo 'SKIPPED: make test-cuda needs nvcc (CUDA toolkit 13) to compile the kernels, and it is neither on PATH nor in /usr/local/cuda.'
else
test-cuda: $(CUDA_BUILD)/configured
	@$(BIN)/cmake --build $(CUDA_BUILD) --parallel $(JOBS) --target _cuda
	$(BIN)/python -m pytest $(TESTS) -m gpu -n $(JOBS) --dist worksteal --cuda-module $$(echo $(CUDA_BUILD)/_cuda*.so)
endif

# What the compiler makes of the kernels, for every target; and bugs in them, which tests must find.
gates: .venv/installed-dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/cuda_gates.py || [ $$? -eq 77 ]
planted: .venv/installed-dev
	@if [ -n '$(NVCC)' ]; then PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tests/planted/runner.py; \
	  else echo 'SKIPPED: make planted needs nvcc'; fi

$(CUDA_BUILD)/configured: CMakeLists.txt cmake/cuda.cmake .venv/installed-dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake --fresh -S . -B $(CUDA_BUILD) -G Ninja --log-level=WARNING \
	  -DSKBUILD=1 -DSKBUILD_PROJECT_VERSION=0 -DCMAKE_BUILD_TYPE=Release -DMODELWATCH_WERROR=ON -DMODELWATCH_CUDA=ON \
	  -DCMAKE_CUDA_COMPILER=$(NVCC) '-DCMAKE_CUDA_ARCHITECTURES=75-virtual;100-virtual' -DCMAKE_CUDA_FLAGS=--compress-mode=none \
	  -DMODELWATCH_CUDART=ptx_cudart -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python \
	  -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir) $(CMAKE_ARGS)
	@touch $@

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools
	$(BIN)/python -m mypy.stubtest modelwatch_gpu._core --mypy-config-file pyproject.toml --allowlist tools/stubtest_allowlist.txt
	$(BIN)/python tools/check_layout.py

sanitize: .venv/tools .venv/options
	@for preset in sanitize tsan; do \
	  PATH="$(CURDIR)/$(BIN):$$PATH" && cmake --preset $$preset --log-level=WARNING && \
	  cmake --build --preset $$preset --parallel $(JOBS) && ctest --preset $$preset || exit 1; \
	done

fuzz: .venv/installed-dev
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/fuzz/run.sh

# Only what the results lack; PEERS='--only evidently --rows 100000' for a part, see benchmarks/peers/run.py --help.
bench-peers: .venv/installed-dev
	$(BIN)/python benchmarks/peers/run.py $(PEERS)
	$(BIN)/python benchmarks/peers/page.py

# The defaults of a test run skip benchmarks, so they are cleared here.
bench: .venv/installed-dev
	$(BIN)/python -m pytest benchmarks -o addopts=--strict-markers --benchmark-only

clean:
	rm -rf .venv build dist report.html .pytest_cache .hypothesis .ruff_cache .mypy_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "modelwatch needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing). Try: make PYTHON=python3.12"; exit 1; }
	@printf $(PROBE) | $(CXX) -std=c++20 -fsyntax-only -x c++ - 2>/dev/null || \
	  { echo "modelwatch needs a C++20 compiler (g++ 11 or newer); '$(CXX)' is missing or too old. Try: apt-get install g++, or make CXX=g++-12"; exit 1; }
	@echo 'making .venv'
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

# The build tools of pyproject.toml, and CMake and Ninja from PyPI, since a distribution's CMake may be too old.
.venv/tools: pyproject.toml | .venv/made
	@$(PIP) install --upgrade 'cmake>=3.26' ninja \
	  $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	@touch $@

# Changes only when CMAKE_ARGS or CXX do.  CMake remembers old options, so what was built with them goes.
.venv/options: FORCE | .venv/made
	@echo '$(CXX) $(CMAKE_ARGS)' | cmp -s - $@ || \
	  { rm -rf build/editable && echo '$(CXX) $(CMAKE_ARGS)' > $@; }

.venv/installed-core: $(SOURCES) .venv/tools .venv/options
	@echo 'building and installing modelwatch (about a minute the first time)'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(INSTALL) -e '.[monitor]'
	@touch $@

.venv/installed-dev: $(SOURCES) .venv/tools .venv/options
	@echo 'building and installing modelwatch with what tests, lint and benchmarks need'
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(INSTALL) -e '.[test,lint,bench]'
	@touch $@ .venv/installed-core

# Is made by the install; where build/ was removed since, the package is installed anew.
build/editable/CTestTestfile.cmake: .venv/installed-core
	@test -e $@ || { rm -f .venv/installed-core .venv/installed-dev && $(MAKE) --no-print-directory .venv/installed-core; }
