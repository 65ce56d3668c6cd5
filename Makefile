# make demo   the main job on tissue that needs no download
# make test   style, types and tests
# Both create the virtual environment themselves. A clean machine needs Python >= 3.11 and make.
# TORCH_INDEX=URL takes PyTorch from an index of its builds for CPUs, without gigabytes of CUDA libraries.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-slow test-jts test-ecosystem fuzz check install clean benchmarks benchmark-slides benchmark-concepts benchmark-masks benchmark-viewer benchmark-engine benchmark-gpu benchmark-reference

demo: install
	$(BIN)/histofactor demo -o demo-out

test: check
	$(BIN)/pytest -n 2 -m "not gpu and not network and not slow and not jts"

.PHONY: docs gallery test-wheel install-size
# The site of the docs, into docs/_build; a warning is an error.
docs: $(VENV)/docs-installed
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 docs docs/_build

# The wheel, away from its sources, in an empty environment of each of these Pythons that is found.
PYTHONS ?= python3.11 python3.12 python3.13
test-wheel:
	$(PYTHON) tests/wheel.py $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) $(PYTHONS)

# What the package and all it needs take, one by one, without bytecode and with it. TORCH=WHEEL or TORCH=torch==X takes that
# PyTorch, TORCH_INDEX=URL one of its builds for CPUs.
install-size:
	$(PYTHON) tests/install_size.py $(if $(TORCH),--torch '$(TORCH)') $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) \
		$(if $(EXTRAS),--extras $(EXTRAS)) $(if $(AT_MOST),--at-most $(AT_MOST))

# The pictures of the docs; SHARED (see below) has the slide, Chromium shows the pages.
gallery: install
	$(BIN)/python docs/_site/pictures.py $(SHARED)
	$(BIN)/python docs/_site/viewer_picture.py

# Runs that are killed twenty times over, full disks: minutes.
test-slow: install
	$(BIN)/pytest -m slow

# Crafted and spoiled inputs for every reader, N of each: more than 10,000 in half an hour; SEED picks them.
SEED ?= 0
N ?= 800
fuzz: install
	PYTHONPATH=tests $(BIN)/python -m fuzz.harness --seed $(SEED) --cases $(N)

# Polygons in the eyes of JTS, the geometry library of QuPath; needs java >= 17 and Debian's libjts-java.
JTS := /usr/share/java/jts-core.jar
test-jts: install
	@test -e $(JTS) || { apt-get update -qq && apt-get install -y -qq --no-install-recommends libjts-java; } || \
	  { echo "test-jts needs $(JTS): run as root on Debian or Ubuntu, or: sudo apt-get install libjts-java"; exit 1; }
	@java -version 2> /dev/null || { echo "test-jts needs java; on Debian or Ubuntu: apt-get install default-jre"; exit 1; }
	$(BIN)/pytest -m jts -rs

# SpatialData, wsidata and napari read what is exported. They want other versions of Dask and ome-zarr than this project is
# tested with, so they lie beside the environment, not in it.
ECOSYSTEM := $(VENV)/ecosystem
test-ecosystem: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(ECOSYSTEM) -r ecosystem.txt
	PYTHONPATH=$(ECOSYSTEM) PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/pytest -rs tests/export/test_spatial.py \
		tests/runs/test_exported.py tests/viewer/test_napari.py

# The figures of the docs; needs the folder SHARED with data (see CONTRIBUTING.md).
SHARED ?= ../shared
benchmarks: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python benchmarks/projection.py $(SHARED)
	$(BIN)/python benchmarks/scaling.py $(SHARED)
	$(BIN)/python benchmarks/factorize.py $(SHARED)
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/polygons.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/encoding.py
	$(BIN)/python benchmarks/embedded_speed.py $(SHARED)
	$(BIN)/python benchmarks/seams.py $(SHARED)
	$(BIN)/python benchmarks/embedded_on_glas.py $(SHARED)

# What whole slides cost beyond their encoding, to 40,000 px a side: half an hour.
benchmark-slides: install
	$(BIN)/python benchmarks/slides.py

# Concepts beside scikit-learn and faiss, their memory over long streams, and what they are worth: a quarter of an hour.
benchmark-concepts: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python benchmarks/concepts.py $(SHARED)
	$(BIN)/python benchmarks/concepts_stream.py
	$(BIN)/python benchmarks/concepts_on_glas.py $(SHARED)

# Masks beside every variant of the paper, their stability and uncertainty, what else was tried, and what four views cost: two hours.
benchmark-masks: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	for data in glas-dev ocdc phantom; do for encoder in nic_multitask4 resnet50v2; do \
		$(BIN)/python benchmarks/masks.py $(SHARED) $$data $$encoder || exit 1; done; done
	$(BIN)/python benchmarks/tried.py $(SHARED) nic_multitask4
	for encoder in nic_multitask4 embedded; do $(BIN)/python benchmarks/stability.py $(SHARED) $$encoder || exit 1; done
	$(BIN)/python benchmarks/unlike.py $(SHARED)
	$(BIN)/python benchmarks/views.py

# What workers of Ray cost and bring on this machine, and a simulation of a cluster: a quarter of an hour.
benchmark-engine: install
	$(BIN)/python benchmarks/engine.py $(SHARED)
	$(BIN)/python benchmarks/engine_sim.py

# What a GPU makes of encoders, projection and decoding, beside the bare work: eight minutes; nothing without one.
benchmark-gpu: install
	$(BIN)/python benchmarks/gpu.py

# How quick the viewer is; needs Debian's chromium: minutes.
benchmark-viewer: install
	$(BIN)/python benchmarks/viewer.py

# The paper's variants beside the paper's own package, which is put beside the environment, not into it: minutes.
benchmark-reference: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/reference \
		segf==1.0.4 grad-cam==1.5.5 ttach==0.0.3
	PYTHONPATH=$(VENV)/reference $(BIN)/python benchmarks/reference.py $(SHARED)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt hatch_build.py src/histofactor/viewer/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "histofactor needs Python >= 3.11; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "This Python has no venv module; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		--no-deps --index-url $(TORCH_INDEX) torch torchvision)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/docs-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $@

clean:
	rm -rf $(VENV) demo-out dist docs/_build docs/_generated docs/jupyter_execute fuzz-failures .pytest_cache .mypy_cache .ruff_cache
