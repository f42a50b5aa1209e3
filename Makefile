# make demo    set everything up and run the first experiment
# make test    set everything up and run every check and test
# make interop the whole matrix of interoperability with the kernel, 16 MiB each way
# make machines what needs a kernel of its own: QEMU, and user-mode Linux if it has been built
# make kernels docs/kernels.md: what each kernel makes of the experiments, some ten minutes
# make engines docs/engines.md: the emulator held against the newest kernel's netem
# make check   the static checks alone: format, lint, types, layers
# make bench   measure the wire's precision and the sandbox's scale
# make clean   remove what make made

VENV := .venv
BIN := $(VENV)/bin

KERNELS := uml:6.1+virtual-time uml:6.12+virtual-time uml:7.3+virtual-time

.PHONY: demo test interop machines kernels engines check bench clean

demo: $(VENV)/.installed
	@scripts/system-packages demo
	$(BIN)/testbed run experiments/quickstart.yaml

test: check
	@scripts/system-packages test
	$(BIN)/pytest

interop: $(VENV)/.installed-dev
	@scripts/system-packages test
	TESTBED_INTEROP=full $(BIN)/pytest tests/interop

machines: $(VENV)/.installed-dev
	@scripts/system-packages machines
	$(BIN)/pytest tests/machine

kernels: $(VENV)/.installed-dev
	@scripts/system-packages machines
	$(BIN)/python scripts/kernel-table $(KERNELS)

engines: $(VENV)/.installed-dev
	@scripts/system-packages machines
	$(BIN)/testbed machine exec --writable docs $(lastword $(KERNELS)) -- \
		$(BIN)/python bench/engines.py --page docs/engines.md

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	@scripts/system-packages bench
	$(BIN)/python -m bench

$(VENV)/.installed: pyproject.toml
	@scripts/system-packages demo
	@scripts/virtual-environment $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
