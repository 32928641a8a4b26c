# `make demo` and `make test` need Python (3.10 or later) with venv, make and, for what pip
# has to fetch, the network.  Other interpreter: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What `make demo LISTEN=127.0.0.1:8081` passes on.
LISTEN ?=

.PHONY: help demo test test-fast lint check native check-native doc bench clean

help:
	@echo 'make demo       serve the embedded demo application at http://127.0.0.1:8080/'
	@echo 'make test       lint, types, manual and all tests (.ci/run says which servers they talk to)'
	@echo 'make test-fast  the tests without sockets, servers and processes'
	@echo 'make check      all tests, nothing else'
	@echo 'make native     the package with its hot path compiled by Cython, into build/native'
	@echo 'make check-native  the tests of it'
	@echo 'make lint       ruff and mypy'
	@echo 'make doc        the manual, into doc/_build/html'
	@echo 'make bench      CPU and memory beside Apache httpd, into bench/README.rst'

demo: $(VENV)/.installed
	$(BIN)/twistd --nodaemon --pidfile= fcgiproxy --demo $(if $(LISTEN),--listen $(LISTEN))

test: lint doc check

check: $(VENV)/.developing
	$(BIN)/python -m pytest $(PYTEST)

test-fast: $(VENV)/.developing
	$(BIN)/python -m pytest -q -m 'not servers and not packaging and not processes' $(PYTEST)

# As it is installed, with the tests beside it.
native: $(VENV)/.developing
	rm -rf build/native
	TWISTED_FCGI_NATIVE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --target build/native .
	cp -Rp tests native fuzz doc README.rst setup.py pyproject.toml build/native

check-native: native
	cd build/native && PYTHONPATH=$(CURDIR)/build/native TWISTED_FCGI_NATIVE=1 \
		$(abspath $(BIN))/python -m pytest -m 'not packaging' $(PYTEST)

lint: $(VENV)/.developing
	$(BIN)/ruff check .
	$(BIN)/mypy

doc: $(VENV)/.developing
	$(BIN)/python -m sphinx -W --keep-going -q -b html doc doc/_build/html

bench: $(VENV)/.developing
	$(BIN)/python -m bench $(BENCH)

clean:
	rm -rf build dist doc/_build twisted_fcgi.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Installed again when the requirements may have changed.
$(VENV)/.installed: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.developing: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[tls,http2,test,dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
