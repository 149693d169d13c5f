# Everything here sets itself up; `make` alone lists the targets. ARGS="…" passes arguments on.
.DEFAULT_GOAL := help
.PHONY: help setup up test test-python test-node check format lock chaos docker bench clean

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1 | /p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

setup: ## Prepare .venv (with .venv/bin/pww and node) and the sidecar's packages
	@sh tools/setup.sh

up: setup ## Run the whole fleet here, with the local WhatsApp (ARGS="--workers 2")
	@$(BIN)/pww up $(ARGS)

test: test-python test-node ## Run the tests, Python's and Node's, without chaos and benchmarks (-k: Node's in any case)

test-python: setup
	@$(BIN)/pytest -n 3 --dist loadfile $(ARGS)

# The files with failures are named in .setup/failed-node, those of sidecar-node/test in FILES alone are run.
test-node: setup
	@cd sidecar-node && $(CURDIR)/$(BIN)/node --test --test-timeout=120000 \
		--test-reporter=spec --test-reporter-destination=stdout \
		--test-reporter=./test/failed_files.ts --test-reporter-destination=$(CURDIR)/.setup/failed-node \
		$(or $(FILES),$(sort $(shell cd sidecar-node && find test -name '*.test.ts')))

check: setup ## Check format, lint, types, imports, and that nothing private is committed
	@$(BIN)/python tools/check.py

format: setup ## Format Python and TypeScript, and mend what the linters can mend
	@$(BIN)/ruff check --quiet --fix-only . && $(BIN)/ruff format --quiet .
	@cd sidecar-node && node_modules/.bin/biome check --write --log-level=error

lock: setup ## Remake requirements/*.txt from pyproject.toml (ARGS=--upgrade takes the newest)
	@$(BIN)/python tools/lock.py $(ARGS)

chaos: setup ## Break things on purpose (minutes; SEEDS=1-50 SECONDS=60 STORE=postgres ENGINE=baileys RESULTS=file)
	@CHAOS_SEEDS=$(SEEDS) CHAOS_SECONDS=$(SECONDS) CHAOS_STORE=$(STORE) CHAOS_ENGINE=$(ENGINE) CHAOS_RESULTS=$(RESULTS) \
		$(BIN)/pytest -m chaos tests/chaos $(ARGS)

docker: setup ## Build the images and try the fleet in containers (minutes; wants a Docker engine)
	@$(BIN)/pytest -m docker -s tests/integration/deploy/test_contract.py tests/e2e/test_compose.py tests/e2e/test_runbooks.py $(ARGS)

bench: setup ## Measure, and print the figures (wants a quiet machine)
	@$(BIN)/pytest -m benchmark -s tests/benchmarks $(ARGS)

clean: ## Remove caches and built files; .venv and node_modules stay
	@rm -rf dist .setup .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find shared services tests tools -name __pycache__ -prune -exec rm -rf {} +
