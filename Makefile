# The list of commands. `make help` prints it.
SHELL := /bin/bash
PYTHON3 ?= python3
PY := .venv/bin/python
BOT_PY := .venv-bot/bin/python
SETUP := $(PYTHON3) scripts/setup_environments.py
export RASA_TELEMETRY_ENABLED = false

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check format unit assistant-test train bench faults lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: ## make both Python environments (the other targets do it by themselves)
	@$(SETUP) test bot

demo: ## set everything up, start it, play the conversations of demo/conversations, compare
	@$(SETUP) server bot
	@$(PY) -m demo

run: ## the same set-up, and stay up: prints the addresses and a login
	@$(SETUP) server bot
	@$(PY) -m demo.stay_up

test: setup check unit assistant-test ## set everything up and run every check and test

check: ## formatting, lint, types, import contracts, the files that designers edit
	@$(SETUP) test
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m mypy --python-version 3.10 -p handoff
	.venv/bin/lint-imports
	$(PY) -m handoff.policy_file handoff.yml
	.venv/bin/ponte sla check
	.venv/bin/ponte runbooks check
	.venv/bin/ponte quality check
	.venv/bin/ponte notifications check

format: ## let ruff put the code in order
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

unit: train ## the tests of the code, on real PostgreSQL, Redis and SMTP
	@$(SETUP) test bot
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

train: ## train the assistant's model when data/, domain.yml, config.yml or bot/ changed
	@$(SETUP) bot
	@$(BOT_PY) scripts/train_model.py

assistant-test: train ## validate the training data and run the assistant's test stories
	$(BOT_PY) scripts/check_titles.py domain.yml
	$(BOT_PY) -m rasa data validate --fail-on-warnings --domain domain.yml --data data
	$(BOT_PY) -m rasa test core --model models/ponte.tar.gz --stories tests/rasa/test_stories.yml --out .ponte/rasa-test --fail-on-prediction-errors

bench: ## measure Ponte beside its peers: turns, clocks, a million tickets, understanding (public sets: PONTE_DATASETS_DIR)
	@$(SETUP) server bot
	@$(PY) -m benchmarks.turns
	@$(PY) -m benchmarks.sla
	@$(PY) -m benchmarks.tickets
	@$(PY) -m benchmarks.notifications
	@$(PY) -m benchmarks.nlu

faults: ## break everything ten times each, count what was lost or doubled, write docs/reliability.md (takes hours)
	@$(SETUP) test bot
	$(PY) -m tests.faults
	PONTE_KILL_CONVERSATIONS=200 $(PY) -m pytest tests/e2e/test_kill.py

lock: ## write the hashed requirement files anew from pyproject.toml
	@$(SETUP) server
	.ponte/tools/bin/uv pip compile -q --group pyproject.toml:bot --python-version 3.10 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements/bot.txt
	.ponte/tools/bin/uv pip compile -q --group pyproject.toml:server --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements/server.txt
	.ponte/tools/bin/uv pip compile -q --group pyproject.toml:test --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" -o requirements/test.txt

clean: ## remove environments, models and everything made at run time
	rm -rf .venv .venv-bot .ponte models .mypy_cache .ruff_cache .pytest_cache
