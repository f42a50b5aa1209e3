# make demo    set everything up and run the first experiment
# make test    set everything up and run every check and test; what needs a kernel is skipped without one
# make kernel  build a user-mode Linux for those tests, once, in 5 minutes (idle cores) to 20; it is kept
# make interop the whole matrix of interoperability with the kernel, 16 MiB each way
# make machines all that needs machines: QEMU, a new Debian, user-mode Linux of three versions
# make kernels docs/kernels.md: the results of each kernel in the experiments, an hour of a processor
# make engines docs/engines.md: the emulator compared with the newest kernel's netem
# make compile let mypyc compile the stack and the simulator, in some minutes; from then on they are used
# make test-compiled the tests, with the compiled modules
# make wheel   a wheel with the compiled modules, for this Python, in dist
# make docs    the documentation site, into build/docs
# make check   the static checks alone: format, lint, types, layers
# make profile a flame graph of a simulated transfer, build/profile.svg
# make bench   measure the wire's precision and the sandbox's scale
# make clean   remove what make made

VENV := .venv
BIN := $(VENV)/bin
# User-mode Linux: built once, in minutes, and kept in the user's cache. The next build continues an interrupted one.
NEWEST := 7.3
KERNELS := 6.1 6.12 $(NEWEST)
PROFILE := -m testbed run --sim experiments/quickstart.yaml --stack userspace --repetitions 1 \
	--results build/profile
BUILD_KERNELS = @for version in $(KERNELS); do \
	$(BIN)/testbed machine build uml --source debian:$$version || exit; done

.PHONY: demo test compile test-compiled wheel kernel interop machines kernels engines docs check profile bench clean

demo: $(VENV)/.installed
	@scripts/system-packages demo
	$(BIN)/testbed run experiments/quickstart.yaml

test: check
	@scripts/system-packages test
	TESTBED_COMPILED=no $(BIN)/pytest -n auto

compile: $(VENV)/.installed-dev
	$(BIN)/python scripts/compile

test-compiled: compile
	@scripts/system-packages test
	TESTBED_COMPILED=require $(BIN)/pytest -n auto

wheel: $(VENV)/.installed-dev
	TESTBED_COMPILE=1 $(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

kernel: $(VENV)/.installed-dev
	@scripts/system-packages kernel
	$(BIN)/testbed machine build uml

interop: $(VENV)/.installed-dev
	@scripts/system-packages test
	TESTBED_INTEROP=full $(BIN)/pytest tests/interop

machines: $(VENV)/.installed-dev
	@scripts/system-packages machines
	$(BUILD_KERNELS)
	TESTBED_MACHINES=full $(BIN)/pytest tests/machine

kernels: $(VENV)/.installed-dev
	@scripts/system-packages machines
	$(BUILD_KERNELS)
	$(BIN)/python scripts/kernel-table $(KERNELS:%=uml:%+virtual-time)

engines: $(VENV)/.installed-dev
	@scripts/system-packages machines
	$(BIN)/testbed machine exec --writable docs uml:$(NEWEST)+virtual-time -- \
		$(BIN)/python bench/engines.py --page docs/engines.md

docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs build/docs
	@echo "The site: build/docs/index.html"

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

profile: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --group profile
	@mkdir -p build
	$(BIN)/py-spy record --native --rate 500 --output build/profile.svg -- $(BIN)/python $(PROFILE)

bench: $(VENV)/.installed-dev
	@scripts/system-packages bench
	$(BIN)/python -m bench

$(VENV)/.installed: pyproject.toml
	@scripts/system-packages demo
	@echo "Setting up $(VENV)"
	@scripts/virtual-environment $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev --editable '.[report,figures,serve,docs,distributed]'
	@touch $@

clean:
	rm -rf $(VENV) dist build testbed/_compiled .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
