# make run    the daemon with demo phones, in the foreground
# make test   all tests; ARGS="-k fork" goes to pytest
# make lint   ruff, mypy, import-linter
# make bench  the figures of README.md, on this machine
# make fuzz   random input; ARGS="parser --minutes 20", framing, sequence, mi, binrpc, jsonrpc or msgpack
#
# VENV: where the virtual environment lies. PYTHON: the interpreter to make it with.

VENV ?= .venv
ARGS ?=
BIN = $(VENV)/bin
SIPP_NOTE = $(VENV)/.sipp-missing

.DEFAULT_GOAL := run
.PHONY: run test lint format bench fuzz openapi clean venv venv-test

venv:
	@.ci/venv "$(VENV)"

venv-test:
	@.ci/venv "$(VENV)" test

# exec: Ctrl-C and SIGTERM reach the daemon itself.
run: venv
	@exec $(BIN)/dlgmgmt run $(ARGS)

test: venv-test
	@.ci/sipp "$(SIPP_NOTE)"
	$(if $(ARGS),$(BIN)/python -m pytest $(ARGS),.ci/test $(BIN)/python)

lint: venv-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: venv-test
	@.ci/sipp "$(SIPP_NOTE)"
	$(BIN)/python -m tests.bench $(ARGS)

fuzz: venv-test
	@$(BIN)/python -m tests.fuzz $(ARGS)

openapi: venv
	$(BIN)/python -m dlgmgmt.commands.openapi

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find dlgmgmt fifo tests -name __pycache__ -prune -exec rm -rf {} +
