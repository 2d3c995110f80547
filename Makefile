# Needs python3 (3.11 or newer) with pip and venv; the rest is installed into
# .venv on the first call and again whenever setup.cfg changes.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= cpu,jax,export,quantizer,vela,plots,tensorboard,data,search,dev
CONSTRAINTS ?= constraints.txt
# Each worker holds a TensorFlow of its own, about 1.5 GB.
WORKERS ?= 2

# Of the records: cifar10.npz, the published weights, and what is half done.
DATA_DIR ?= $(HOME)/tensorflow_datasets
WEIGHTS_DIR ?= weights
STATE ?= build/records

BIN := $(VENV)/bin
READY := $(VENV)/ready
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
	--no-loadscope-reorder -q --durations 10

export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help pythons platforms release-check newcomer notebooks bazel \
	test-notebooks test-torch venv venv-tfmot demo docs test test-all test-distributed \
	test-browser test-tfmot venv-hub test-hub venv-torch lint format \
	records verify-records \
	coverage bench trust build-files constraints sbom clean distclean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is " \
	"required. Received: " + v + ". Name another: make PYTHON=python3.12")'
	@case ",$(EXTRAS)," in *,cpu,*) case ",$(EXTRAS)," in *,tfmot,*) \
	echo "The extras cpu and tfmot must not be installed together: tf-keras" \
	"brings tensorflow, which overwrites the files of tensorflow-cpu." \
	"Received: EXTRAS=$(EXTRAS). Leave out cpu." >&2; exit 1;; esac;; esac
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv \
	|| echo "uv is not to be had, pip installs instead (slower)"
# Bytecode is compiled now: where PYTHONDONTWRITEBYTECODE is set, every later
# process would compile all of TensorFlow anew.
	if [ -x $(BIN)/uv ]; then \
	  $(BIN)/uv pip install --python $(BIN)/python --compile-bytecode \
	    --constraint $(CONSTRAINTS) --editable ".[$(EXTRAS)]"; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint $(CONSTRAINTS) --editable ".[$(EXTRAS)]"; \
	fi
	@touch $@

venv: $(READY)  ## set up .venv, the environment of all other targets

# The toolkit asks for an older absl-py than the one that is pinned.
venv-tfmot:  ## set up .venv-tfmot, with tensorflow-model-optimization
	@mkdir -p build
	sed '/^absl-py/d' constraints.txt > build/constraints-tfmot.txt
	$(MAKE) venv VENV=.venv-tfmot EXTRAS=tfmot,data,dev \
	  CONSTRAINTS=build/constraints-tfmot.txt

demo: $(READY)  ## train, compress, export; results in build/demo
	$(BIN)/python examples/demo.py

# Most of what JAX does in a test is to compile what runs once.
test: lint  ## lint and all tests but the slow ones, training on JAX too
	$(PYTEST)
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 \
	  $(PYTEST) -m "jax and not slow"

test-all: lint test-distributed docs test-browser test-notebooks  ## lint, all tests, more fuzzing
	$(PYTEST) -m "slow or not slow" --hypothesis-profile explore
	KERAS_BACKEND=jax $(PYTEST) -m any_backend

test-distributed:  ## work of two workers, in an environment with Ray
	$(MAKE) venv VENV=.venv-distributed EXTRAS=cpu,search,distributed,dev
	.venv-distributed/bin/python -m pytest -q -rs -m "slow or not slow" \
	  tfprune_test/examples/search_ray_test.py \
	  tfprune_test/pipeline/ray_workers_test.py

test-browser:  ## the reports in Chromium, if it is there; a real TensorBoard
	$(MAKE) venv VENV=.venv-browser EXTRAS=cpu,export,data,browser,tensorboard,dev
	.venv-browser/bin/python -m pytest -q -rs -m "slow or not slow" \
	  tfprune_test/reports/page_browser_test.py \
	  tfprune_test/site_browser_test.py \
	  tfprune_test/callbacks/pruning_summaries_test.py

docs:  ## build the site in build/site, warnings are errors
	$(MAKE) venv VENV=.venv-docs EXTRAS=docs
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

test-notebooks:  ## run the notebooks, cell by cell
	$(MAKE) venv VENV=.venv-notebooks EXTRAS=cpu,export,plots,data,notebooks,dev
	.venv-notebooks/bin/python -m pytest -q -rs -m "slow or not slow" \
	  tfprune_test/notebooks_test.py

notebooks:  ## write the notebooks anew, with outputs and pictures
	$(MAKE) venv VENV=.venv-notebooks EXTRAS=cpu,export,plots,data,notebooks,dev
	.venv-notebooks/bin/python -m tools.notebooks

release-check: $(READY)  ## what a release needs: version, wheel, texts, licences
	$(BIN)/python -m tools.release_check

pythons: $(READY)  ## the wheel in fresh environments of all Pythons found
	$(BIN)/python -m tools.try_pythons

test-torch: $(READY)  ## the wheel with PyTorch alone
	$(BIN)/python -m tools.try_pythons --torch

platforms: $(READY)  ## which extras have wheels where, into docs/results
	$(BIN)/python -m tools.platforms

bazel: $(READY)  ## look up every label of the BUILD files with Bazel
	$(BIN)/python -m tools.bazel_check

newcomer:  ## a clone, an environment, and all that the texts say, in order
	$(PYTHON) tools/newcomer.py

venv-torch:  ## set up .venv-torch, with Torch-Pruning, to compare with
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check \
	  torch "torch-pruning==1.6.*"

# Its own dependencies would bring TensorFlow Text, which nothing here needs.
venv-hub:  ## set up .venv-hub, with KerasHub
	$(MAKE) venv VENV=.venv-hub EXTRAS=cpu,dev
	.venv-hub/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps keras-hub
	.venv-hub/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint $(CONSTRAINTS) regex tokenizers sentencepiece kagglehub

test-hub: venv-hub  ## the tests that read KerasHub's backbones
	.venv-hub/bin/python -m pytest -q -rs -m "slow or not slow" \
	  tfprune_test/hub_test.py

test-tfmot: venv-tfmot  ## the tests that meet the toolkit's own objects
	.venv-tfmot/bin/python -m pytest -q -rs -m "slow or not slow" \
	  tfprune_test/schedules/schedule_test.py tfprune_test/legacy

lint: $(READY)  ## ruff, the floors of the rooms, types, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/codespell

format: $(READY)  ## format, sort imports, mend what ruff can, write BUILD files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format --quiet .
	$(BIN)/python -m tools.build_files

build-files: $(READY)  ## write BUILD files, the rooms' picture, flags' values
	$(BIN)/python -m tools.build_files
	$(BIN)/python -m tools.draw_rooms
	$(BIN)/python -m tools.write_choices

coverage: $(READY)  ## which lines the tests reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(READY)  ## run every benchmark; results in build/bench
	@set -e; for script in benchmarks/*.py; do \
	  echo "$$script"; $(BIN)/python "$$script"; done

trust: $(READY)  ## an hour of kills, damaged files and full disks
	$(BIN)/python benchmarks/trust.py --minutes=60 \
	  --table=docs/results/trust.md

records: $(READY)  ## train the records on, one core, where they stopped
	nice -n 19 $(BIN)/python examples/records.py --data_dir=$(DATA_DIR) \
	  --weights_dir=$(WEIGHTS_DIR) --state=$(STATE)

verify-records: $(READY)  ## measure every finished record again
	$(BIN)/python examples/verify_records.py --data_dir=$(DATA_DIR) \
	  --weights_dir=$(WEIGHTS_DIR) --page=docs/results/records.md \
	  --plot=docs/results/records.png

# backports-strenum stays free: uv takes a version that pip refuses on the same
# Python, as only pip heeds the upper bound of its requires-python.
constraints: $(READY)  ## write constraints.txt anew from setup.cfg
	$(BIN)/uv pip compile --universal --python-version 3.11 --upgrade \
	  --extra cpu --extra jax --extra export --extra quantizer \
	  --extra vela --extra plots --extra tensorboard --extra data --extra search \
	  --extra distributed --extra browser --extra docs --extra dev --no-annotate \
	  --no-emit-package backports-strenum \
	  --custom-compile-command "make constraints" --quiet \
	  --output-file constraints.txt setup.cfg
	$(BIN)/uv pip compile constraints.txt --generate-hashes --universal \
	  --python-version 3.11 --no-deps --no-annotate --no-header --quiet \
	  --output-file constraints-hashed.txt

sbom: $(READY)  ## write build/sbom.json, the packages of .venv and licences
	@mkdir -p build
	$(BIN)/uv tool run --from cyclonedx-bom cyclonedx-py environment \
	  $(BIN)/python --output-file build/sbom.json

# What `make records` has trained for hours is there no second time.
clean:  ## remove results and caches, not the state of half-trained records
	if [ -d build ]; then \
	  find build -mindepth 1 -maxdepth 1 ! -path '$(STATE)' -exec rm -rf {} +; \
	fi
	rm -rf dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	rm -f .coverage .coverage.*
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean  ## the same, and .venv
	rm -rf $(VENV)
