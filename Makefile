# Everything here works in a fresh clone: the first call makes .venv, later ones reuse it.

# The first of these that is Python 3.11 or newer makes the environment.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11

# Where torch comes from. "auto" takes PyTorch's own index of CPU builds on a Linux machine without
# an NVIDIA driver, as PyPI's builds for Linux bring gigabytes of CUDA; elsewhere, and where pip is
# configured with package sources of its own, pip's defaults. Give an index's address to choose
# another build, or nothing (TORCH_INDEX=) for pip's defaults.
TORCH_INDEX ?= auto
PIP_FLAGS ?=

# Processes that run the tests, threads of the numerical libraries in each, and more arguments for
# pytest. Models this small spin in a second thread more than they compute.
WORKERS ?= 2
THREADS ?= 1
ARGS ?=

# The lowest versions of what (TensorFlow too: OLDEST_EXTRAS="torch tensorflow plots test"), and
# another version of torch than the lowest, where that has no wheel: OLDEST_TORCH=2.13.0.
OLDEST_EXTRAS ?= torch plots test
OLDEST_TORCH ?=
OLDEST_VENV ?= .venv-oldest

VENV := .venv
PY := $(VENV)/bin/python
CONSTRAINTS := constraints.txt
RUN := $(VENV)/.installed-run
TEST := $(VENV)/.installed-test
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
OLDEST := $(OLDEST_VENV)/.installed

# One file stays in one process, which compiles its models once.
PYTEST = OMP_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS) OPENBLAS_NUM_THREADS=$(THREADS) \
	VECLIB_MAXIMUM_THREADS=$(THREADS) TF_NUM_INTRAOP_THREADS=$(THREADS) TF_NUM_INTEROP_THREADS=$(THREADS) \
	MPLBACKEND=agg $(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-all fuzz test-oldest lint format types check docs bench bench-gpu clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(RUN) ## make .venv with dataval in it, editable, with PyTorch and what the tests need

demo: $(RUN) ## find mislabelled samples: the shortest tour of the library
	$(PY) examples/noisy_labels.py

test: $(TEST) ## run the tests, on both frameworks (ARGS="-k hydra" for some of them)
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(TEST) ## run the slow tests as well
	$(PYTEST) $(ARGS)

fuzz: $(TEST) ## try bad input of every kind, much longer than the quick tests do
	HYPOTHESIS_PROFILE=long $(PYTEST) tests/fuzz $(ARGS)

# Warnings of deprecation do not count here: they are old libraries' about their newer neighbours.
test-oldest: PY := $(OLDEST_VENV)/bin/python
test-oldest: $(OLDEST) ## run the quick tests on the lowest versions that pyproject.toml names, in .venv-oldest
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 MPLBACKEND=agg \
	$(PY) -m pytest -n auto -m "not slow" -W ignore::DeprecationWarning \
		-W ignore::PendingDeprecationWarning $(ARGS)

lint: $(DEV) ## check style and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(DEV) ## repair style and formatting
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(DEV) ## check types
	$(PY) -m mypy

check: lint types test ## lint, types and test: what a change has to pass

docs: $(DOCS) ## build the documentation into docs/_build/html
	MPLBACKEND=agg $(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(TEST) ## run the benchmarks (ARGS="influence --repeats 3" for some of them, ARGS=--list for a list)
	$(PY) -m benchmarks $(ARGS)

bench-gpu: $(TEST) ## run all benchmarks on a CUDA device, and check that it and the CPU agree
	$(PY) -m benchmarks --all --device cuda $(ARGS)

clean: ## remove build products and caches; environments and results/ stay
	rm -rf build dist docs/_build docs/auto_examples docs/sg_execution_times.rst
	rm -rf .mypy_cache .pytest_cache .ruff_cache .coverage htmlcov
	find . -name '.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------ environment

# $(call install,extras): this checkout, editable, with the named extras, under the constraints.
define install
	@index="$(TORCH_INDEX)"; \
	if [ "$$index" = auto ]; then \
		index=""; \
		if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
			&& ! $(PY) -m pip config list | grep -E 'find-links|index-url|no-index' >/dev/null; then \
			index=https://download.pytorch.org/whl/cpu; \
		fi; \
	fi; \
	set -x; \
	$(PY) -m pip install --disable-pip-version-check $(PIP_FLAGS) \
		$${index:+--extra-index-url "$$index"} --constraint $(CONSTRAINTS) --editable ".[$(1)]"
	@touch $@
endef

$(PY) $(OLDEST_VENV)/bin/python: %/bin/python:
	@for python in $(PYTHON); do \
		if "$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
			>/dev/null 2>&1; then \
			echo "making $* with $$("$$python" --version)"; \
			exec "$$python" -m venv --clear $*; \
		fi; \
	done; \
	echo "dataval needs Python 3.11 or newer with its venv module (on Debian: python3-venv)." >&2; \
	echo "None of these is one: $(PYTHON). The first is: $$("$(firstword $(PYTHON))" --version 2>&1)." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1

$(RUN): pyproject.toml constraints.txt | $(PY)
	$(call install,torch$(comma)plots$(comma)test)

$(TEST): $(RUN)
	$(call install,tensorflow)

$(DEV): $(RUN)
	$(call install,dev)

$(DOCS): $(TEST)
	$(call install,docs)

# The oldest versions have wheels for the oldest Python.
$(OLDEST): PYTHON := python3.11 $(PYTHON)
$(OLDEST): PY := $(OLDEST_VENV)/bin/python
$(OLDEST): CONSTRAINTS := $(OLDEST_VENV)/constraints.txt
$(OLDEST): pyproject.toml tools/oldest.py | $(OLDEST_VENV)/bin/python
	$(PY) tools/oldest.py $(OLDEST_EXTRAS) $(if $(OLDEST_TORCH),--pin torch==$(OLDEST_TORCH)) > $(CONSTRAINTS)
	$(call install,$(subst $(space),$(comma),$(strip $(OLDEST_EXTRAS))))

comma := ,
empty :=
space := $(empty) $(empty)
