# Every target sets .venv up first (scripts/set_up); after the first time that needs no network.
.PHONY: help set-up demo test check bench results clean

help:
	@echo "make demo    from a real price file to verified rigs, with a report at the end"
	@echo "make test    every check: format, lint, types, imports, tests"
	@echo "make check   the same without the tests"
	@echo "make bench   environment steps per second on this machine"
	@echo "make results train and judge on the sample: 3 start costs x 5 seeds, in resumable cells"
	@echo "make clean   remove .venv and what the tools leave behind"

set-up:
	@scripts/set_up

demo: set-up
	@.venv/bin/gridhash demo

test: set-up
	@scripts/check

check: set-up
	@scripts/check --fast

bench: set-up
	@.venv/bin/python benchmarks/env_speed.py

results: set-up
	@.venv/bin/python scripts/results.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
