# What a checkout can do. Needs Python 3.11 or newer and nothing else: the first target that wants
# packages makes .venv and installs the exact versions of constraints.txt into it.

# The first interpreter that really runs (a shim may only pretend to), is new enough and can make a venv.
PROBE := import ensurepip, sys, venv; sys.version_info >= (3, 11) and print(sys.executable)
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	found=$$($$name -c '$(PROBE)' 2>/dev/null) && test -n "$$found" && echo "$$found" && break; done)

VENV := .venv
EXTRAS := cli,gateway,otel,prices,tokens
RUN := $(VENV)/bin/python
# An installed copy: mypy and import-linter cannot read a package whose folder has another name.
SITE := build/site

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types floors pictures settings bench bench-peers wheel clean FORCE

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

demo: $(VENV)/.installed ## 200 requests through a router, live, over HTTP on this machine (no key, no network)
	@$(RUN) -m turnout demo $(ARGS)

test: $(VENV)/.installed ## every test (ARGS="tests/cli -x" to choose)
	$(RUN) -m pytest $(ARGS)

check: lint types floors ## ruff, mypy strict, import-linter

lint: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(SITE)
	cd $(SITE) && ../../$(RUN) -m mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p turnout

floors: $(SITE)
	cd $(SITE) && ../../$(VENV)/bin/lint-imports --config ../../pyproject.toml --cache-dir ../../.import_linter_cache

pictures: $(VENV)/.installed ## write the pictures of docs/ with the commands that the pages show
	@$(RUN) -m docs.pictures

settings: $(VENV)/.installed ## write docs/settings.md from the settings models
	@$(RUN) -m docs.settings_page $(ARGS)

bench: $(VENV)/.installed ## measure every figure of docs/benchmarks.md (ARGS=--quick for a look)
	$(RUN) -m bench.run $(ARGS)

bench-peers: $(VENV)/.installed ## the same beside other routers, from an environment of their own
	$(RUN) -m bench.peers $(ARGS)

wheel: $(VENV)/.installed ## build dist/*.whl
	rm -rf build/lib build/bdist.* dist
	$(RUN) -m build --wheel --no-isolation . >/dev/null
	@ls dist

clean: ## remove all that was made here
	rm -rf .venv .venv-wheel .venv-peers build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# setuptools builds in place from what constraints.txt names, so nothing unpinned is fetched to build;
# its warning about editable installs in general is of no use to anyone here.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Turnout needs Python 3.11 or newer, with its venv module (or: make PYTHON=/path/to/python)" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON) (once; about a minute)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(RUN) -m pip install --quiet --constraint constraints.txt pip setuptools
	@PYTHONWARNINGS=ignore $(RUN) -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[$(EXTRAS)]" --group dev
	@touch $@

# build/lib would keep modules that were deleted since.
$(SITE): $(VENV)/.installed FORCE
	@rm -rf $(SITE) build/lib build/bdist.*
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation --target $(SITE) .
