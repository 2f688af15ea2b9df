# make demo   the whole pipeline on drawn people, into runs/demo
# make test   the tests; make check also lints and type-checks
# make fuzz   5,000 damaged inputs; make kill: killed trainings and full disks
# make docs   docs/configuration.md, from the docstrings of the settings
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test slow-test fuzz kill lint check docs clean

demo: $(VENV)/.installed
	$(BIN)/pose-hrnet demo --output runs/demo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist loadscope -m "not slow and not gpu"

slow-test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

fuzz: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz --inputs 5000

kill: $(VENV)/.installed-test
	$(BIN)/python -m tests.fuzz.kills --kills 100
	$(BIN)/python -m tests.fuzz.full_disk

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

docs: $(VENV)/.installed
	$(BIN)/python tools/write_configuration.py

$(VENV)/.installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@# opencv-python needs the system's libGL; where that is missing, its headless build does the job.
	$(BIN)/python -c "import cv2" 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
