# Short targets. Each makes .venv on first use; nothing else needs to be installed or activated.
PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
WORKERS ?= 2
# A file's tests share what they make; the longest files, faults and system, come first.
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo check unit test lint bench paper vllm gguf rivals adapters docs

demo: .venv/installed  ## a small Table 2 in about 5 minutes on two free cores; no GPU, no account, no model or data to download
	@$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml config/demo_rivals.yaml
	@cat results/demo/table2.md results/demo/rivals.md
	@echo; echo "Page: results/demo/report.html    Table: results/demo/table2.md, .csv, .tex    Figures: figures/demo/"

# A quarter of what is drawn at random is tried; `make test` tries all.
check: .venv/installed  ## before each commit, two minutes: linters beside the tests that start no process and use no network
	@$(MAKE) --no-print-directory --jobs 2 lint unit

unit: .venv/installed
	@EMBEDGRAD_TEST_BUDGET=$${EMBEDGRAD_TEST_BUDGET:-0.25} $(BIN)/python -m pytest $(PARALLEL) tests/unit

test: .venv/installed  ## all tests; set EMBEDGRAD_MIRROR to a folder with real data to run the tests that need it
	@$(BIN)/python -m pytest $(PARALLEL)

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/mypy --config-file tests/mypy.ini
	@$(BIN)/snakemake --lint

bench: .venv/installed  ## a CPU-sized set, under 15 minutes; docs/performance.md has the whole
	@$(BIN)/python benchmarks/evaluators.py
	@$(BIN)/python benchmarks/optimize.py --layers 4 --repeats 1
	@$(BIN)/python benchmarks/decode.py --layers 4 --rows 32 --limit 96 --repeats 1
	@$(BIN)/python benchmarks/workflow.py --seeds 1 10

paper: .venv/installed  ## all 26 cells; needs a GPU, the hub, and access to the gated models
	@$(BIN)/snakemake --cores all

vllm: .venv/installed  ## the faster decoding engine, on a CPU; an extra
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-vllm.txt

gguf: .venv/installed  ## reads GGUF files; a small extra
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-gguf.txt

rivals: .venv/installed  ## what some of the other methods need (docs/howto/rivals.md); an extra
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-rivals.txt

adapters: .venv-adapters/installed  ## Houlsby, Pfeiffer, AdapterDrop, AdapterFusion (docs/howto/rivals.md): an environment of its own

docs: .venv/installed  ## the site in build/docs, its notebook run; an extra; a warning is an error
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-docs.txt
	@$(BIN)/sphinx-build -W --keep-going --quiet docs build/docs
	@echo "Site: build/docs/index.html"

.venv/installed: requirements.lock requirements.hashes pyproject.toml
	@echo "Making .venv (a few minutes, once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.hashes
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv-adapters/installed: requirements-adapters.txt pyproject.toml
	@echo "Making .venv-adapters (a few minutes, once) …"
	@$(PYTHON) -m venv .venv-adapters
	@.venv-adapters/bin/pip install --quiet --disable-pip-version-check --requirement requirements-adapters.txt
	@.venv-adapters/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
