# make demo    install, prepare text, render a job, train it on this machine, resume it, sample
# make test    everything, the real Slurm included where it can be installed
# make test-gpu  kernels built, all GPU tests and benches; a log with commit and card
# make check   formatting, types, and the walls between the rooms
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-gpu check goldens docs clean

# one stamp per set of extras, so that a login-node install stays a login-node install
$(VENV)/.engine: setup.cfg setup.py
	$(PYTHON) -m venv $(VENV)
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --editable '.[engine]'
	touch $@

$(VENV)/.test: $(VENV)/.engine
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --editable '.[engine,convert,test]'
	touch $@

demo: $(VENV)/.engine
	$(BIN)/python -m tests.demo

# three at a time, a file each: the tests of real schedulers mostly wait
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile

# on a machine with a GPU; its own Python may hold a torch that fits: make test-gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
test-gpu:
	$(GPU_PYTHON) -m tests.gpu test-gpu.log

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the plain-text scripts that tests/submit compares with: look at the diff before you commit it
goldens: $(VENV)/.test
	$(BIN)/python -m tests.golden.update

docs: $(VENV)/.test
	$(BIN)/python -m neox.config.reference
	$(BIN)/python -m neox.sites.reference docs/site-profile.md
	$(BIN)/python -m neox.submit.job_reference docs/job-kinds.md

clean:
	rm -rf build dist *.egg-info runs demo-data
