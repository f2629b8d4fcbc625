# The whole loop on this machine. `make` alone lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo test lint fuzz format wheel real-up real-down test-real chaos chaos-real soak \
	mutants mutants-by-hand mutants-by-hand-real clean
INPUT ?=
MAPPING ?=
ARGS ?=
INPUTS ?= 1000000
RUN := .venv/bin/python -m
TEST := $(RUN) pytest -n 8 --dist loadgroup --max-worker-restart=0 # pytest-xdist never ends after a restart near the end
REAL := .real
unexport PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes: each would compile the product again

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

install: ## fill .venv; PYTHON=python3.12 picks the interpreter
	@PYTHON="$(PYTHON)" scripts/install

demo: install ## raw events to live segments, and the proof; INPUT=file MAPPING=file for events of your own
	@$(RUN) segmenter demo $(if $(INPUT),--input "$(INPUT)") $(if $(MAPPING),--mapping "$(MAPPING)") $(ARGS)

test: install ## every test that this machine can run; ARGS="-k name" picks some
	@$(TEST) $(ARGS)

lint: install ## ruff, mypy --strict, import-linter
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@.venv/bin/lint-imports --no-logo

fuzz: install ## decoder and mapping reader under atheris, on INPUTS=1000000 inputs (Python 3.11, Linux x86-64)
	@$(RUN) tests.fuzz --inputs $(INPUTS)

format: install ## sort the imports and format the code
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

wheel: install ## build the wheel into dist/
	@$(RUN) build --wheel

real-up: ## start Kafka 4, Redis and MariaDB of this machine (java, mvn, redis-server, mariadbd) in .real/
	@.ci/real-parts up $(REAL)

real-down: ## stop these
	@.ci/real-parts down $(REAL)

test-real: install ## start these, run every test on them too, stop them
	@SEGMENTER_TEST_REAL=1 .ci/real-parts run $(REAL) $(TEST) $(ARGS)

chaos: install ## 60 faults on running processes while events arrive; ARGS="--faults 100 --seed 7"
	@$(RUN) tests.chaos $(ARGS)

chaos-real: install ## the same on Kafka, Redis and MariaDB of this machine, killing and stopping those too
	@.ci/real-parts run $(REAL) $(RUN) tests.chaos --parts real $(ARGS)

soak: install ## an hour of a life: users and processes come and go, and nothing may grow; ARGS="--minutes 10"
	@$(RUN) tests.soak --minutes 60 $(ARGS)

mutants: install ## mutmut changes the code that needs no running parts; its tests must notice 85 % of that
	@$(RUN) tests.mutants.pure $(ARGS)

mutants-by-hand: install ## each patch of tests/mutants breaks a promise, and its tests must turn red
	@$(RUN) tests.mutants $(ARGS)

mutants-by-hand-real: install ## the same with those that only Kafka, Redis and MariaDB of this machine can show
	@SEGMENTER_TEST_REAL=1 .ci/real-parts run $(REAL) $(RUN) tests.mutants $(ARGS)

clean: ## remove .venv and what the tools left
	@rm -rf .venv build dist demo mutants report .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
