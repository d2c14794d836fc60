# The whole of a newcomer's Kickstand: make demo, make test. Everything else is for those who stay.

# Debian keeps Mosquitto where only root's PATH looks.
export PATH := $(PATH):/usr/sbin:/sbin
# DEMO_SECONDS=30 make demo ends by itself.
export DEMO_SECONDS
# Where Python is told to keep nothing compiled, each of the hundreds of programs that demo and tests
# start would compile all it imports anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

# One more than the two cores it is made for: some tests wait for a browser, a broker or a play.
PYTEST_FLAGS ?= -n 3 --dist loadgroup

.PHONY: demo test lint bench clean

demo:
	@scripts/setup demo
	@exec .venv/bin/kickstand-sim demo

# Tests and linters run beside each other, to their ends, so that one run tells everything; both
# must pass. What the linters say comes last, where nobody has to look for it.
test:
	@scripts/setup test
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT; \
	$(MAKE) --no-print-directory --silent --keep-going --jobs=2 pytest linters LINT_LOG="$$log"; \
	status=$$?; cat "$$log"; exit $$status

LINT_LOG ?= /dev/stdout
.PHONY: pytest linters
pytest:
	@.venv/bin/python -m pytest $(PYTEST_FLAGS)
linters:
	@scripts/lint >"$(LINT_LOG)" 2>&1

lint:
	@scripts/setup test
	@scripts/lint

# One of them: make bench BENCH=hub_ingest
BENCH ?= $(sort $(patsubst bench/%.py,%,$(filter-out bench/_%,$(wildcard bench/*.py))) \
	$(patsubst bench/%/__main__.py,%,$(wildcard bench/*/__main__.py)))
bench:
	@scripts/setup test
	@for name in $(BENCH); do .venv/bin/python -m "bench.$$name" || exit 1; done

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	rm -rf *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
