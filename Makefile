# The whole of a newcomer's Kickstand: make demo, make test. Everything else is for those who stay.

# Debian keeps Mosquitto where only root's PATH looks.
export PATH := $(PATH):/usr/sbin:/sbin
# DEMO_SECONDS=30 make demo ends by itself.
export DEMO_SECONDS

PYTEST_FLAGS ?= -n 2 --dist loadgroup

.PHONY: demo test lint bench clean

demo:
	@scripts/setup demo
	@exec .venv/bin/kickstand-sim demo

# The tests run even when a linter complains, so that one run tells everything; both must pass.
test:
	@scripts/setup test
	@lint=0; scripts/lint || lint=1; \
	.venv/bin/python -m pytest $(PYTEST_FLAGS) || exit $$?; \
	[ $$lint = 0 ] || { echo 'make test: the tests passed, lint did not (see above)' >&2; exit 1; }

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
