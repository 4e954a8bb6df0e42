SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
PEERS := .cache/peers
STAMP := $(VENV)/.installed-from-lock
BENCHES := $(sort $(subst _,-,$(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))))
# More options for pytest and benchmarks: make test OPTIONS="-k facets"
OPTIONS ?=

# Folder of public data, for demo-online-retail, tests and benchmarks.
REAL_DATA ?= $(wildcard ../shared/data)

export PYTHON
# Compiled modules are kept: without them every process of Airflow compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPATH := $(CURDIR):$(CURDIR)/plugins
export VITRINA_CODE_VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo unversioned)
ifneq ($(REAL_DATA),)
export VITRINA_REAL_DATA ?= $(abspath $(REAL_DATA))
endif
# In a stripped environment uv finds no certificates by itself.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)
ifeq ($(origin SSL_CERT_FILE),undefined)
ifneq ($(CERTIFICATES),)
export SSL_CERT_FILE := $(CERTIFICATES)
endif
endif

.PHONY: help install demo demo-online-retail stop test test-cluster lint format docs lock bench clean clean-data needs needs-java needs-online-retail

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "benchmarks:         $(addprefix bench-,$(BENCHES))"

needs:
	@.ci/needs

needs-java:
	@.ci/needs java

install: $(STAMP) ## make .venv from requirements.lock (done again only when the lock changes)

$(STAMP): requirements.lock | needs
	@test -x $(BIN)/uv || { echo "install: new environment in $(VENV)"; \
	  $(PYTHON) -m venv --clear $(VENV) && $(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "install: packages of requirements.lock (a cold cache takes a few minutes)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --compile-bytecode --require-hashes -r requirements.lock
	@touch $(STAMP)

demo: install ## simulate a shop, run the chain in a real Airflow, print the result page
	@$(BIN)/python -m vitrina_airflow.demo

# A gift shop: articles are bought again, and customers come too seldom for windows of two weeks.
RETAIL := VITRINA_HOME=.vitrina/online_retail
RETAIL_SETTINGS := VITRINA_LOOKALIKES__WINDOW_DAYS=60 VITRINA_CANDIDATES__SASREC__EPOCHS=4 \
  VITRINA_CANDIDATES__REPEATABLE='["kitchen","stationery","lighting","seasonal","home","garden","accessories","children","other"]'

needs-online-retail:
	@test -d "$(REAL_DATA)/online_retail" || { echo "demo-online-retail: no folder" \
	  "'$(REAL_DATA)/online_retail'; say where: make demo-online-retail REAL_DATA=FOLDER" >&2; exit 2; }

demo-online-retail: needs-online-retail install ## the chain in Airflow over REAL_DATA/online_retail, a real shop's purchases
	@$(RETAIL) $(RETAIL_SETTINGS) $(BIN)/python -m vitrina_airflow.demo --source online_retail \
	  --path $(REAL_DATA)/online_retail --last-day 2011-09-29 --days 120 --listing-days 18

stop: ## stop what make demo and make demo-online-retail left running
	@test ! -x $(BIN)/python || for home in .vitrina .vitrina/online_retail; do \
	  VITRINA_HOME=$$home $(BIN)/python -m vitrina_airflow.standalone stop; done

test: install needs-java ## every test that runs on this machine alone
	@$(BIN)/python -m pytest -m "not cluster" --numprocesses 2 --dist loadfile $(OPTIONS)

test-cluster: install needs-java ## tests that need more: Spark cluster, S3, PostgreSQL, browser
	@$(BIN)/python -m pytest -m cluster $(OPTIONS)

lint: install ## ruff, ruff format, mypy --strict, sqlfluff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint --disable-progress-bar sql

format: install ## put code and SQL into the house form
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@$(BIN)/sqlfluff fix --disable-progress-bar sql

docs: install ## write the generated tables of README.md again
	@$(BIN)/python tests/documentation/generate.py

lock: install ## compile each requirements.in into its requirements.lock (OPTIONS=--upgrade renews them)
	@for file in requirements tests/benchmarks/peers/requirements; do $(BIN)/uv pip compile $$file.in \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet $(OPTIONS) \
	  -o $$file.lock; done

# It judges the shop of demo-online-retail, by its settings.
bench-retail-month: BENCH_SETTINGS = $(RETAIL_SETTINGS)

bench: $(addprefix bench-,$(BENCHES)) ## every benchmark, one after the other

bench-%: install ## one benchmark; its last line is one JSON object (OPTIONS="--seeds 11,12")
	@test -f tests/benchmarks/bench_$(subst -,_,$*).py || \
	  { echo "no benchmark $*; there is: $(BENCHES)" >&2; exit 2; }
	@$(BENCH_SETTINGS) $(BIN)/python tests/benchmarks/bench_$(subst -,_,$*).py $(OPTIONS)

# RecTools does not install beside Airflow: it has an environment of its own. One of its packages is
# built here, which takes a C compiler.
bench-peers: $(PEERS)/.installed-from-lock

$(PEERS)/.installed-from-lock: tests/benchmarks/peers/requirements.lock | install
	@echo "bench-peers: environment of its own in $(PEERS), once (5 GB on disk)"
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(PEERS)
	@VIRTUAL_ENV=$(CURDIR)/$(PEERS) $(BIN)/uv pip install --quiet --require-hashes -r $<
	@touch $@

clean: ## remove caches and the environment; the data in .vitrina stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache spark-warehouse \
	  metastore_db derby.log catboost_info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-data: stop ## remove .vitrina: the demo's lake, landing, Airflow and MLflow
	@rm -rf .vitrina
