# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint slow bench clean

demo: $(VENV)/ready
	$(BIN)/radogaga reproduce density --quick --out demo/density
	@echo "Open demo/density/report.html"

test: $(VENV)/ready lint
	$(BIN)/python -m pytest -q -n auto

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(VENV)/ready
	$(BIN)/python -m pytest -q -n auto -m slow

bench: $(VENV)/ready
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/together.py

# torch first, so that the pinned build is there before anything else asks for any torch.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo
