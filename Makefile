PYTHON ?= python3
CORES ?= all
CONFIG = $(or $(STUDY),config.yaml)

VENV := .venv
RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip --quiet --no-input --disable-pip-version-check
SNAKEMAKE = $(RUN) snakemake $(if $(STUDY),--configfile $(STUDY))
NAME = $(or $(shell sed -n 's/^study:[[:space:]]*\([^[:space:]]*\).*/\1/p' $(CONFIG)),$(error $(CONFIG) has no line `study: NAME`))
RESULTS = results/$(NAME)

.PHONY: help study run plan weights report datasets test test-gpu lint install lock clean $(VENV)

help: ## list the targets
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-9s%s\n", $$1, $$2 }' Makefile
	@echo "  STUDY=studies/NAME.yaml takes another study than config.yaml, CORES=N limits the cores,"
	@echo "  PYTHON=python3.12 names the Python (at least 3.11) that .venv is made with"

study: report ## install, run the study, print its summary; repeated, it reruns nothing
	@$(RUN) prunetransfer summary $(RESULTS)

run: install
	$(SNAKEMAKE) --cores $(CORES)

plan: install ## what a run would do and take, before anything runs: jobs a stage, hours, disk, downloads
	@$(RUN) prunetransfer plan $(if $(STUDY),--configfile $(STUDY))

weights: install ## fetch all weights of the study, so that its jobs need no network
	$(SNAKEMAKE) weights --cores $(CORES)

report: run ## the same, up to results/<study>/report.html
	@if ! test -e $(RESULTS)/report.html || \
		test -n "$$(find $(RESULTS)/tables $(RESULTS)/figures $(RESULTS)/*.html -newer $(RESULTS)/report.html)"; then \
		$(SNAKEMAKE) --report $(RESULTS)/report.html; \
	fi

datasets: install ## download the datasets that the study needs and that are not there yet
	$(SNAKEMAKE) --cores $(CORES) datasets

test: lint ## install, check the style, run the tests
	$(RUN) pytest

test-gpu: ## on a machine with a GPU, in ten minutes: every stage there against the CPU, and against itself; installs nothing
	$(or $(wildcard $(VENV)/bin/python),$(PYTHON)) -m pytest -m gpu tests/gpu

lint: install ## install, check the style
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(VENV)/bin/snakefmt --check Snakefile workflow

# What .venv was made from; written last and gone while an upgrade runs, so a half made environment starts anew.
STATE = { pwd; cat requirements.lock pyproject.toml; }
INSTALLED := $(VENV)/installed

install: ## make or upgrade .venv, where requirements.lock or pyproject.toml changed
	@$(STATE) | cmp -s - $(INSTALLED) 2>/dev/null || $(MAKE) --no-print-directory $(VENV)

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is missing or older than 3.11: name a newer one, as in 'make study PYTHON=python3.12'" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments: install its venv module ('apt install python3-venv')" >&2; exit 1; }
	@test "$$(head -n 1 $(INSTALLED) 2>/dev/null)" = "$$(pwd)" || $(PYTHON) -m venv --clear $(VENV)
	@rm -f $(INSTALLED)
	@echo "installing requirements.lock into $(VENV) (about 6 GB on Linux, CUDA included)"
	@$(PIP) install -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@$(STATE) > $(INSTALLED)

lock: ## resolve pyproject.toml into requirements.lock; pins that still fit stay, delete the file to raise all
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --no-input --disable-pip-version-check uv
	@build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --extra dev \
		--no-annotate --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

clean: ## remove results/<study>; downloads and .venv stay
	rm -rf $(RESULTS)
