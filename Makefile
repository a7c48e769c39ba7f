# `make run` does the main job on embedded defaults; `make test` passes the tests. Both set up what they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
SERVING := .venv-serving
LEROBOT := .venv-lerobot
BIN := $(VENV)/bin
APT := libosmesa6 libegl1 libgl1 libgl1-mesa-dri
export MUJOCO_GL ?= osmesa
export LP_NUM_THREADS ?= 1
export GRIPLINE_SERVING_ENV ?= $(CURDIR)/$(SERVING)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup run demo-rollback test test-fast check bench lerobot clean

run: setup
	gripline run

# A degraded copy of the champion is rolled out, found out and rolled back.
demo-rollback: setup
	gripline rollout drill

test: setup
	mkdir -p build/coverage
	coverage erase
	coverage run -m pytest -n auto --dist loadfile --durations 15
	coverage combine -q
	coverage report

test-fast: setup
	pytest -m "not sim and not serving and not e2e and not kill"

check: setup
	ruff format --check .
	ruff check .
	mypy
	lint-imports

bench: setup
	python tests/bench/imports.py
	python tests/bench/dataset.py
	python tests/bench/ingest.py
	python tests/bench/loader.py
	python tests/bench/opening.py
	python tests/bench/check_costs.py
	python tests/bench/checks.py
	python tests/bench/judge.py 500
	python tests/bench/transfer.py --rollouts 6
	python tests/bench/train.py
	test ! -d data/bundles/seed-1 || python tests/bench/serving.py data/bundles/seed-1

clean:
	rm -rf build reports data .gripline .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

setup: $(VENV)/.ready $(SERVING)/.ready .gl-ready

# torch first and by itself: a range would bring its newest build with several gigabytes of CUDA.
$(VENV)/.ready: requirements/pipeline.lock requirements/dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q "$$(grep '^torch==' requirements/pipeline.lock)"
	$(BIN)/python -m pip install -q -r requirements/pipeline.lock -r requirements/dev.lock
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

# tritonserver's Python backend needs numpy<2, so serving has an environment of its own.
$(SERVING)/.ready: requirements/serving.lock
	test -x $(SERVING)/bin/python || $(PYTHON) -m venv $(SERVING)
	$(SERVING)/bin/python -m pip install -q --upgrade pip
	$(SERVING)/bin/python -m pip install -q -r requirements/serving.lock
	touch $@

# LeRobot, for `train.external` and the tests of it; no part of `setup`. Its own pins exclude the torch that it runs with
# here, so nothing but the lock decides.
lerobot: $(LEROBOT)/.ready

$(LEROBOT)/.ready: requirements/lerobot.lock
	test -x $(LEROBOT)/bin/python || $(PYTHON) -m venv $(LEROBOT)
	$(LEROBOT)/bin/python -m pip install -q --upgrade pip
	$(LEROBOT)/bin/python -m pip install -q "$$(grep '^torch==' requirements/lerobot.lock)"
	$(LEROBOT)/bin/python -m pip install -q --no-deps -r requirements/lerobot.lock
	@ldconfig -p | grep -q libavcodec || echo "torchcodec loads ffmpeg's libraries. Run: sudo apt-get install -y ffmpeg" >&2
	touch $@

# Software rendering for the simulated cell.
.PHONY: .gl-ready
.gl-ready:
	@ldconfig -p | grep -q libOSMesa || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q $(APT) >/dev/null; \
	  else echo "The simulated cell needs software GL. Run: sudo apt-get install -y $(APT)" >&2; exit 4; fi
