# make demo   the main job on tissue that needs no download
# make test   style, types and tests
# Both create the virtual environment themselves. A clean machine needs Python >= 3.11 and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-slow check install clean benchmarks

demo: install
	$(BIN)/histofactor demo -o demo-out

test: check
	$(BIN)/pytest -n 2 -m "not gpu and not network and not slow"

# Runs that are killed twenty times over, full disks: minutes.
test-slow: install
	$(BIN)/pytest -m slow

# The figures of the docs; needs the folder SHARED with data (see README).
SHARED ?= ../shared
benchmarks: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python benchmarks/projection.py $(SHARED)
	$(BIN)/python benchmarks/scaling.py $(SHARED)
	$(BIN)/python benchmarks/factorize.py $(SHARED)
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/seams.py $(SHARED)
	$(BIN)/python benchmarks/embedded_on_glas.py $(SHARED)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "histofactor needs Python >= 3.11; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "This Python has no venv module; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo-out .pytest_cache .mypy_cache .ruff_cache
