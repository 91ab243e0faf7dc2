# Every target sets .venv up first (scripts/set_up); after the first time that needs no network.
.PHONY: help set-up demo test check bench campaign soak results scenarios docs clean

help:
	@echo "make demo    from a real price file to verified rigs, with a report at the end"
	@echo "make test    every check: format, lint, types, imports, tests"
	@echo "make check   the same without the tests"
	@echo "make bench   environment steps per second, import and load of data, on this machine"
	@echo "make campaign  damaged files, killed writers and controllers, faulty servers and rigs: an hour and more, in parts that resume"
	@echo "make soak    a month of a controller on a stepped clock, half an hour on real time: about an hour"
	@echo "make results play, tune, train and judge on held-out spans, in cells that can be resumed"
	@echo "make scenarios  rules and plans in every scenario, and a page for each: about ten minutes"
	@echo "make docs    the reference pages, from the tables of the code"
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
	@.venv/bin/python benchmarks/data.py

campaign: set-up
	@.venv/bin/python scripts/fuzz_readers.py --mutations 110000 --corpus tests/data/readers/examples
	@.venv/bin/python scripts/store_kill_test.py
	@GRIDHASH_FETCH_STORMS=2000 GRIDHASH_FETCH_KILLS=200 .venv/bin/pytest --quiet tests/data/fetch/test_storm.py tests/data/fetch/test_resume.py
	@.venv/bin/python scripts/campaign_inputs.py
	@.venv/bin/python scripts/campaign.py
	@.venv/bin/python scripts/kill_campaign.py

soak: set-up
	@.venv/bin/python scripts/soak.py
	@.venv/bin/python scripts/guard_run.py

results: set-up
	@.venv/bin/python scripts/results.py

scenarios: set-up
	@.venv/bin/python scripts/scenario_value.py
	@.venv/bin/python scripts/build_scenario_pages.py

docs: set-up
	@.venv/bin/python scripts/build_reference.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
