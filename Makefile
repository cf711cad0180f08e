# Correio: `make` alone tells what there is. Needs GNU make and Python 3.11 or newer, nothing else.
#
# Variables on the command line (make up PORT=2525) reach the tool as environment variables: make exports them.
# Their defaults and rules are in deploy/config.py.

PYTHON ?= python3
VENV := .venv
# Says that everything of the lock is installed; older than the lock, it is done again.
INSTALLED := $(VENV)/.requirements-installed
RUN_PYTHON := $(VENV)/bin/python
ARGS ?=
# What `make bench` needs beside it: the peers and matplotlib.
BENCH := build/bench

# The names of the variables on the command line: the tool says which of them is no setting.
GIVEN = $(strip $(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name))))

DEPLOY = @CORREIO_GIVEN="$(GIVEN)" $(RUN_PYTHON) -m deploy

.DEFAULT_GOAL := help
.PHONY: help up down restart-workers restart-store restart-gateway status logs test test-long test-debian chaos lint bench compare log-costs curves budget client lock pictures clean

help: ## show this
	@echo "Correio, an SMTP server. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26
	@echo "Settings of make up, with their defaults:"
	@echo "  MODE=docker|processes (docker where an engine answers)  BIND=127.0.0.1  PORT=12000  USERS=users.txt"
	@echo "  MAILBOXES=mailboxes  WORKERS=2  DOMAIN=correio.localhost  RUN=run; the README's table has them all."
	@echo "make down, restart-..., status and logs take RUN; make logs also TAIL=all (or a number), FOLLOW=no."

up: $(INSTALLED) ## start the stack, and return when it takes mail
	$(DEPLOY) up

down: $(INSTALLED) ## stop it; nothing is left running
	$(DEPLOY) down

restart-workers: $(INSTALLED) ## replace the session workers, one after another; sessions go on
	$(DEPLOY) restart-workers

restart-store: $(INSTALLED) ## restart the mailbox store; clients wait a moment
	$(DEPLOY) restart-store

restart-gateway: $(INSTALLED) ## restart the gateway; open transactions end first, then connections do
	$(DEPLOY) restart-gateway

status: $(INSTALLED) ## show the state of each service
	$(DEPLOY) status

logs: $(INSTALLED) ## follow the logs (Ctrl-C ends it); all there is: make logs TAIL=all FOLLOW=no
	$(DEPLOY) logs

# Most tests wait for something more than they compute, so two at a time take little over half as long.
test: $(INSTALLED) ## run the tests; those with containers need a Docker engine (ARGS goes to pytest)
	$(RUN_PYTHON) -m pytest -n 2 -m "not long" $(ARGS)

# One at a time: they load the machine themselves.
test-long: $(INSTALLED) ## run the tests that take minutes by their nature: long chaos, explorations
	$(RUN_PYTHON) -m pytest -m long $(ARGS)

SUITE ?= trixie
test-debian: ## run all checks on another release of Debian with its Python, in a folder (SUITE=trixie; needs root)
	tests/on-debian.sh $(SUITE)

DURATION ?= 60
CONNECTIONS ?= 50
FAULTS ?= all
# A run starts its own stack in a temporary folder: processes, or containers with MODE=docker.
chaos: $(INSTALLED) ## attack a stack of its own for DURATION seconds, from a SEED, and judge its mailboxes
	$(RUN_PYTHON) -m tests.faults.chaos --duration $(DURATION) --connections $(CONNECTIONS) --faults $(FAULTS) \
		--mode $(or $(MODE),processes) $(if $(SEED),--seed $(SEED))

lint: $(INSTALLED) ## check style, types and who imports whom
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# Variables: QUICK=1 (under 3 minutes), ROUNDS, LOAD_SECONDS, MINUTES at most, PEERS="correio postfix", FOLDER on
# the disk to measure, OUT and PLOT; bench/options.py has them all. Peers that cannot run here are named and left out.
bench: $(INSTALLED) $(BENCH)/.installed ## measure throughput, times and cost next to other servers (QUICK=1 ROUNDS=3)
	@$(RUN_PYTHON) -m bench

# Variables of these two: BEFORE, a commit to compare with, MODE=docker, QUICK=1, ROUNDS, LOAD_SECONDS, FOLDER,
# LOADS="keep s=100,new s=100".
compare: $(INSTALLED) ## measure this checkout and the commit BEFORE in turn (some 6 minutes)
	@$(RUN_PYTHON) -m bench.compare

log-costs: $(INSTALLED) ## measure what the log of conversations costs, now and at the commit BEFORE
	@$(RUN_PYTHON) -m bench.logs

curves: $(INSTALLED) $(BENCH)/.installed ## measure what grows with mailboxes, users, journal and connections
	@$(RUN_PYTHON) -m bench.curves

budget: $(INSTALLED) ## record the function calls that a message costs in each service
	@$(RUN_PYTHON) -m bench.budget --record

# Run it after a change in pyproject.toml's [dependency-groups]; `--universal` holds for every platform.
LOCK := $(VENV)/bin/uv pip compile pyproject.toml --quiet --generate-hashes --python-version 3.11 --no-header --universal
lock: $(INSTALLED) ## resolve the requirements anew
	$(LOCK) --group services --group deploy --group dev -o requirements/dev.txt
	$(LOCK:pyproject.toml=) --group services -o requirements/services.txt
	$(LOCK) -o requirements/client.txt
	$(LOCK:pyproject.toml=bench/requirements.in) -o bench/requirements.txt

# The libraries are taken for each Python, and lie over each other: they differ in the modules that are no Python, and
# these have the version in their names. What names this machine or this hour is left out, so whoever builds the same
# again gets the same file.
CLIENT_PYTHONS := 3.11 3.12 3.13 3.14
DIST ?= dist
SITE := build/client/site
client: $(INSTALLED) ## build dist/correio.pyz: the client in one file that runs where Python is
	@rm -rf build/client build/lib build/bdist.* && mkdir -p $(SITE) $(DIST)
	@for version in $(CLIENT_PYTHONS); do \
		$(VENV)/bin/uv pip install --quiet --link-mode copy --python-version $$version --only-binary :all: \
			--require-hashes --requirement requirements/client.txt --target build/client/$$version && \
		rm -r build/client/$$version/bin && cp -R build/client/$$version/. $(SITE) || exit; done
	@$(RUN_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-compile \
		--target $(SITE) .
	@rm -rf $(SITE)/bin $(SITE)/*.dist-info/RECORD $(SITE)/*.dist-info/direct_url.json
	@$(VENV)/bin/shiv --site-packages $(SITE) --console-script correio --reproducible --compressed \
		--preamble client/__preamble__.py \
		--output-file $(DIST)/correio.pyz
	@echo "$(DIST)/correio.pyz: for Python $(CLIENT_PYTHONS) on machines of this kind ($$(uname -s) $$(uname -m))"

pictures: $(INSTALLED) ## draw the pictures in README.md anew: how it is built, and the recording
	@$(RUN_PYTHON) -m docs.architecture
	@$(RUN_PYTHON) -m docs.recording

clean: ## remove what was built or cached; mail, journal and settings stay
	@if docker version >/dev/null 2>&1; then docker image prune --all --force --filter label=correio.service >/dev/null; fi
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "PYTHON=$(PYTHON): no such command; install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "PYTHON=$(PYTHON): $$($(PYTHON) -V 2>&1) is too old; Correio needs 3.11: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "PYTHON=$(PYTHON): has no venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "preparing $(VENV) (once)"
	@$(RUN_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(RUN_PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@# The command correio; setuptools is in the lock, so nothing is fetched for the build.
	@$(RUN_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# smtp-server is a peer that can be absent: without npm, `make bench` leaves it out.
NODE_PEER := bench/servers/smtp-server-append
$(BENCH)/.installed: bench/requirements.txt $(NODE_PEER)/package-lock.json
	@echo "preparing $(BENCH) (once)"
	@$(PYTHON) -m venv --clear $(BENCH)/venv
	@$(BENCH)/venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@mkdir -p $(BENCH)/node
	@cp $(NODE_PEER)/package.json $(NODE_PEER)/package-lock.json $(BENCH)/node/
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix $(BENCH)/node; fi
	@touch $@
