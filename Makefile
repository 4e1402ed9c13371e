# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint slow figures bench clean

demo: $(VENV)/ready
	$(BIN)/radogaga reproduce density --quick --out demo/density
	$(BIN)/radogaga images shapes --out demo/shapes.zip
	$(BIN)/radogaga images prepare demo/shapes.zip --out demo/shapes.npy --size 32
	$(BIN)/radogaga reproduce isometry --images demo/shapes.npy --out demo/isometry --steps 400 \
		--metric mse --model recommended,beta-vae-plain,pca
	@echo "Open demo/density/report.html and demo/isometry/report.html"

test: $(VENV)/ready lint
	$(BIN)/python -m pytest -q -n auto

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/words.py

slow: $(VENV)/ready
	$(BIN)/python -m pytest -q -n auto -m slow

figures:
	$(PYTHON) tools/figures.py

bench: $(VENV)/ready
	$(BIN)/python benchmarks/training.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/estimator.py
	$(BIN)/python benchmarks/images.py

# torch first, so that the pinned build is there before anything else asks for any torch.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo
