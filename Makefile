# Everything runs from .venv, which is made on first use; nothing needs to be activated.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help workbook test lab lint format figures bench lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

workbook: $(STAMP) ## run all notebooks in the quick profile, results in runs/
	$(BIN)/percept run --profile quick

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest

lab: $(STAMP) ## open JupyterLab in notebooks/
	$(BIN)/jupyter lab --notebook-dir=notebooks

lint: $(STAMP) ## check style, types and the form of the notebooks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/percept check

format: $(STAMP) ## format code and notebooks, mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

figures: $(STAMP) ## make the committed figures again
	$(BIN)/percept figures

bench: $(STAMP) ## measure scenes, embedding and training speed
	$(BIN)/percept bench scenes embed pretrain align score probes

lock: $(STAMP) ## bring requirements.lock in line with pyproject.toml (add UPGRADE=--upgrade for newer versions)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 $(UPGRADE) \
	  --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean: ## remove .venv, runs and caches
	rm -rf .venv runs build *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find percept tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so an install that fails or is interrupted is done again.
$(STAMP): requirements.lock pyproject.toml
	@rm -f $(STAMP)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "percept needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=/path/to/python3.12 <target>"; exit 1; }
	@[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing requirements.lock into .venv; on Linux this is about 7 GB and takes minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m ipykernel install --sys-prefix --name percept --display-name percept
	@touch $(STAMP)
