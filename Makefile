# The two commands of the README, and what a developer needs. `make help` lists them.
# Only make and a Python of version 3.11 or newer are taken for granted.

VENV  := .venv
BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check
# So many pytest processes, all on the one PostgreSQL server of the run: three keep two cores busy, for tests also wait.
WORKERS ?= 3
# More words for pytest: make test ARGS="tests/domain -k phone".
ARGS  ?=
UV    ?= uv

# The newest Python that can make a virtual environment; one on the PATH may be a shim that runs nothing.
ABLE    = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$python" -c '$(ABLE)' >/dev/null 2>&1 && { echo "$$python"; break; }; done)

# Start-up must not compile everything anew each time.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test lint format lock clean browser

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

run: $(VENV)/.ready ## Install what is missing, then serve http://127.0.0.1:8000 with the demonstration clinic
	@exec $(BIN)/booking serve --prepare

test: $(VENV)/.ready-to-test browser ## Install what the tests need, then run all of them
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(VENV)/.ready-to-test ## Check form, types and floors, and that the locks name no host
	@failed=0; \
	for check in 'ruff check .' 'ruff format --check .' mypy 'lint-imports --no-logo'; do \
		echo "$(BIN)/$$check"; $(BIN)/$$check || failed=1; \
	done; \
	echo 'the locks name no host'; ! grep -n '://' requirements.lock tests/requirements.lock || failed=1; \
	exit $$failed

format: $(VENV)/.ready-to-test ## Put the code into the one form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Write both locks anew from pyproject.toml (needs uv)
	$(UV) lock -q
	$(UV) export -q --format requirements-txt --no-emit-project --no-dev --group build -o requirements.lock
	$(UV) export -q --format requirements-txt --no-emit-project --all-groups -o tests/requirements.lock

clean: ## Remove what was installed and cached; the data in var/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# A stamp is touched last, so that a failed installation leaves none and the next make tries again. All of them
# fall with the first, which falls when the folder was moved or its Python has gone.
FIT = $(BIN)/python -c '' && grep -qF '$(CURDIR)/$(VENV)' $(BIN)/activate
$(shell test ! -e $(VENV)/.made || { $(FIT); } 2>/dev/null || rm -f $(VENV)/.made)

$(VENV)/.made:
	@test -n '$(PYTHON)' || { $(EXPLAIN_PYTHON); exit 1; }
	@'$(PYTHON)' -c '$(ABLE)' 2>/dev/null || { echo '$(PYTHON) does not run, is older than 3.11 or has no venv module (Debian: python3-venv).' >&2; exit 1; }
	@{ $(FIT) && $(PIP) --version; } >/dev/null 2>&1 || '$(PYTHON)' -m venv --clear $(VENV)
	@touch $@

$(VENV)/.locked: requirements.lock $(VENV)/.made
	@echo 'Installing what requirements.lock names ...'
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.ready: pyproject.toml $(VENV)/.locked
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q booking migrations
	@touch $@

$(VENV)/.ready-to-test: tests/requirements.lock $(VENV)/.ready
	@echo 'Installing what tests/requirements.lock names ...'
	@$(PIP) install --quiet --require-hashes -r tests/requirements.lock
	@touch $@

# What no wheel carries: a browser and nginx. CI fails without them, elsewhere their tests are skipped.
FOUND_BROWSER = for program in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
	command -v "$$program" >/dev/null && exit 0; done; exit 1
FOUND_NGINX   = PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null

browser:
	@( $(FOUND_BROWSER) ) && ( $(FOUND_NGINX) ) && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends chromium nginx-light >/dev/null && exit 0; \
	fi; \
	echo 'No Chromium or no nginx here, so their tests are skipped: install the packages chromium and nginx-light.' >&2

define EXPLAIN_PYTHON
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
then echo 'python3 has no venv module: install python3-venv (as root: apt-get install python3-venv) and try again.' >&2; \
else echo 'No Python of version 3.11 or newer was found: install one (or say make PYTHON=/path/to/python3).' >&2; fi
endef
