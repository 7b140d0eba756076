# `make` lists what there is. Everything lands in .venv; nothing else on the machine is touched.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.PHONY: help setup pipeline lecture notebook test coverage lint bench gpu faults pictures ui server clean lock

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
ready := .venv/.installed
place := .venv/.place

help: ## list these commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# An environment's programs name the place where it was made, and run the code there: where the repository has been moved or
# copied (mv, cp -a), it is made anew.
elsewhere := [ "$$(cat $(place) 2>/dev/null)" != "$$(pwd -P)" ]
ifneq ($(shell $(elsewhere) && echo yes),)
    .PHONY: $(ready)
endif

# uv, from the machine or else from pip, installs what requirements.lock names, hashes checked. Bytecode is compiled at once:
# without it every stage would compile what it imports again where PYTHONDONTWRITEBYTECODE is set.
$(ready): requirements.lock pyproject.toml
	@if [ -e .venv ] && $(elsewhere); then
		echo "The environment in .venv was not made in this place: making it anew"
		rm -rf .venv
	fi
	if ! [ -x .venv/bin/python ]; then
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
			echo "filterlab needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1): make PYTHON=python3.11" >&2; exit 1; }
		echo "Setting up .venv (once)"
		if command -v uv >/dev/null; then uv venv --quiet --python $(PYTHON) .venv
		else $(PYTHON) -m venv .venv || {
			rm -rf .venv; echo "no virtual environment could be made: apt-get install python3-venv, or install uv" >&2; exit 1; }
		fi
		pwd -P > $(place)
	fi
	uv=$$(command -v uv) || { .venv/bin/python -m pip install --quiet --disable-pip-version-check uv; uv=.venv/bin/uv; }
	echo "Installing the locked dependencies (6 GB on disk)"
	$$uv pip install --python .venv/bin/python --require-hashes --compile-bytecode --quiet -r requirements.lock
	$$uv pip install --python .venv/bin/python --no-deps --no-build-isolation --quiet --editable .
	touch $@

setup: $(ready) ## set up and nothing more

pipeline: $(ready) ## set up, run dvc repro, say what came out
	@filterlab pipeline

lecture: $(ready) ## every topic of the lecture, on one page (40 minutes); QUICK=1: the small budget, 3 minutes
	@if [ -n "$(QUICK)" ]; then filterlab lecture all --quick; else filterlab lecture stages && dvc repro lecture/dvc.yaml; fi

# What the notebook's page needs is installed for those alone who open it. Theirs is a copy: Git keeps the one without outputs.
notebook: $(ready) ## open the exercise as a notebook, on this machine alone; yours is notebooks/my_exercise.ipynb
	@if ! [ .venv/.notebook -nt notebooks/requirements.lock ]; then
		uv=$$(command -v uv || echo .venv/bin/uv)
		$$uv pip install --python .venv/bin/python --require-hashes --quiet -r notebooks/requirements.lock
		touch .venv/.notebook
	fi
	[ -e notebooks/my_exercise.ipynb ] || cp notebooks/exercise.ipynb notebooks/my_exercise.ipynb
	jupyter lab --ServerApp.ip=127.0.0.1 --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
		--LabApp.extension_manager=readonly $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks/my_exercise.ipynb

# One thread a process: workers with two threads each would wait for one another on two cores. Four workers, because the tests
# wait too, for servers, browsers and a cluster.
suite := -m pytest -n 4 --dist loadfile --no-loadscope-reorder

test: $(ready) ## set up, run the whole test suite
	@OMP_NUM_THREADS=1 python $(suite)

coverage: $(ready) ## the same, and which lines of src/ it runs; takes more than twice as long
	@coverage erase
	OMP_NUM_THREADS=1 coverage run $(suite)
	coverage combine --quiet
	coverage report

lint: $(ready) ## formatting, style, types, the direction of imports
	@ruff format --check .
	ruff check .
	mypy
	lint-imports

bench: $(ready) ## measure; writes docs/benchmarks*.md
	@python benchmarks/run.py
	python benchmarks/sweeps.py
	python benchmarks/tracking.py
	python benchmarks/checkpoints.py
	python benchmarks/images.py
	python benchmarks/cifar10.py

gpu: $(ready) ## prove it on a GPU: tests, then measure (ten minutes); writes docs/benchmarks_gpu.md
	@python benchmarks/gpu.py

# Counts of a real trial; the suite has them small, with the same seeds.
faults: export FILTERLAB_KILLS ?= 100
faults: export FILTERLAB_OUTAGES ?= 20
faults: export FILTERLAB_MUTATIONS ?= 1000
faults: export FILTERLAB_AT_ONCE ?= 8
faults: $(ready) ## kills, outages and damaged files in their full counts (an hour); docs/reliability.md says what came out
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile tests/test_damage.py tests/config/test_mutations.py \
		tests/tracking tests/server tests/stages/test_train.py tests/training/test_within_epoch.py tests/training/test_checkpoints.py

pictures: $(ready) ## make README's pictures anew: the filters, the page to play with, MLflow's pages (needs Chromium)
	@filterlab pipeline
	cp results/figures/filters/by_epoch.png docs/images/filters_by_epoch.png
	FILTERLAB_SCREENSHOTS=$(CURDIR)/docs/images python -m pytest -q tests/ui/test_mlflow_ui.py
	python tests/ui/pictures.py

ui: $(ready) ## open MLflow on the runs, at http://127.0.0.1:5000
	@filterlab ui

server: $(ready) ## MLflow for a team, on the database in FILTERLAB_STORE (docs/server.md)
	@filterlab server

clean: ## remove what was made, but for the history (mlflow.db, mlartifacts, runs, checkpoints) and DVC's cache
	rm -rf .venv data/raw data/processed data/partial data/sets models results/figures results/evaluation results/views.json results/report.html results/play.html results/tiles \
		results/lecture/lecture.html results/lecture/[01]* results/lecture-quick results/lecture-by-hand results/curves.csv build src/*.egg-info .coverage* .pytest_cache .ruff_cache .mypy_cache \
		.hypothesis .import_linter_cache

lock: ## resolve pyproject.toml anew into requirements.lock
	@uv=$$(command -v uv || echo .venv/bin/uv)
	$$uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --quiet \
		--all-extras --group dev pyproject.toml -o requirements.lock
	$$uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --quiet \
		--group notebook -c requirements.lock -o notebooks/requirements.lock
