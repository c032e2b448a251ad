# Every target makes what it needs: the first run of any of them installs.
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
EXTRAS := embedded,s3,dev

# A pooler knows its users and keeps its sessions: roles that come and go are tested without. The last one has its own.
POOLED := tests/bot/store tests/bot/people tests/bot/media tests/bot/identity tests/bot/engine/test_journal.py \
	-k "not a_role_that" --ignore tests/bot/store/test_pooler.py

.PHONY: help install run test pooled nightly check fix locales golden bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt $(wildcard locales/*/LC_MESSAGES/*.po)
	@test -x $(PY) || python3 -m venv $(VENV)
	@if command -v uv >/dev/null 2>&1; then uv pip install -q --python $(PY) -c constraints.txt -e '.[$(EXTRAS)]'; \
	else $(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'; fi
	@touch $@

install: $(STAMP)  ## .venv with everything that the project needs

run: install  ## the server, its stores, a demo firm and a chat page
	@$(VENV)/bin/smarterbot dev

test: install  ## the whole suite, on real stores
	@$(PY) -m pytest -q -n 2

pooled: install  ## what speaks to PostgreSQL, through PgBouncer as on Supabase (apt install pgbouncer)
	@$(PY) -m pytest -q -n 2 --pooler $(POOLED)

nightly: install  ## the long tests: thousands of random sequences, mutants, failovers
	@$(PY) -m pytest -q -n 2 --nightly -m nightly

check: install  ## format, lint, types, dependency rule, flows
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/smarterbot flows check

fix: install  ## what the linter can mend by itself
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

locales: install  ## extract the keys that flows need into the catalogues, and compile them
	$(VENV)/bin/smarterbot flows texts --write

golden: install  ## rewrite the drawings and the list of shipped states; review the difference
	$(VENV)/bin/smarterbot flows draw --write

.venv-bench/.installed: constraints.txt Makefile  # the peers live apart: their dependencies are not ours
	@test -x .venv-bench/bin/python || python3 -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt fastapi httptools py-spy pywa uvicorn uvloop
	@touch $@

bench: install .venv-bench/.installed  ## what it costs, bears and weighs; ARGS="--only rate,scale --rounds 5 --write", "--profile"
	@$(PY) -m tests.bench.run $(ARGS)

clean:  ## everything that was made here
	rm -rf $(VENV) .venv-bench .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f locales/*/LC_MESSAGES/*.mo
