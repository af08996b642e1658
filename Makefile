# Each command makes .venv and installs what it needs first, and nothing when it is already there.
# Without make, or on Windows: the README gives the plain commands.

PYTHON ?= python3
BIN    := .venv/bin
NAMES  ?=
ARGS   ?=

.PHONY: help book test test-colab test-gpu execute recap matrix vectors bench serve zip links \
        lint constraints

help:
	@echo "make book                the website, from the committed outputs, into _build/html"
	@echo "make test                every result of the book, re-executed and compared"
	@echo "make test-colab [NAMES=02]  each chapter alone on Colab's versions (tests/colab.txt; 12 GB)"
	@echo "make test-gpu            chapters and property tests on CPU and GPU, into book/_data/gpu.json"
	@echo "make execute [NAMES=02]  run chapters in fresh kernels and store their outputs"
	@echo "make recap               rewrite the Recap cells from the functions' homes"
	@echo "make matrix [ARGS=--small]  asks every implementation what its SAME is, into book/_data"
	@echo "make vectors             the test vectors of book/_data/vectors from the chapters' functions"
	@echo "make bench               times the forms of SAME on this machine, into book/_data; resumable"
	@echo "make serve               the website on http://localhost:8000"
	@echo "make zip                 the website as one file that works offline, in _build"
	@echo "make links               asks every external link of the website (needs npm and the network)"
	@echo "make lint                ruff over Python and notebooks"
	@echo "make constraints         resolve requirements.txt into constraints.txt again"

book:
	@$(PYTHON) tools/environment.py book
	$(BIN)/jupyter-book build . -n -W --keep-going --all
	@echo "Open _build/html/index.html, or run make serve."

test: lint
	$(BIN)/python -m pytest

# COLAB_PYTHON names the Python, TORCH=2.13.0 another build of PyTorch than Colab's.
test-colab:
	@$(PYTHON) tools/colab.py $(NAMES)

# ARGS="--without jax" leaves a framework on the CPU.
test-gpu:
	@$(PYTHON) tools/environment.py all
	$(BIN)/python tools/gpu.py $(ARGS)

execute:
	@$(PYTHON) tools/environment.py all
	$(BIN)/python tools/notebooks.py execute $(NAMES)

recap:
	@$(PYTHON) tools/environment.py all
	$(BIN)/python tools/notebooks.py recap

matrix:
	@$(PYTHON) tools/environment.py all
	$(BIN)/python tools/matrix.py $(ARGS)

vectors:
	@$(PYTHON) tools/environment.py all
	$(BIN)/python tools/vectors.py

bench:
	@$(PYTHON) tools/environment.py all
	$(BIN)/python tools/bench.py $(ARGS)

serve: book
	$(BIN)/python -m http.server --bind localhost --directory _build/html 8000

zip: book
	$(BIN)/python tools/release.py zip

links: book
	npm ci --prefix tests --no-audit --no-fund
	$(BIN)/python tools/links.py

lint:
	@$(PYTHON) tools/environment.py all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

constraints:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -r requirements.txt
	(echo "# The resolved set, made by: make constraints"; $(BIN)/pip freeze | sed 's/+cpu$$//') > constraints.txt
