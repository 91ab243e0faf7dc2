"""The reference pages are what the code's tables say, and the tables leave nothing unsaid."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from gridhash.config import SiteConfig, load_site
from gridhash.config_scenario import ScenarioConfig
from gridhash.envs.ledger import LEDGER
from gridhash.envs.observation import observation_table
from gridhash.rig_models import RigModel

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
COMMAND = "python scripts/build_reference.py"


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ROOT / "scripts"))
    names = ("reference_parameters", "build_reference")
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def pages(scripts: dict[str, ModuleType]) -> dict[str, str]:
    generated: dict[str, str] = scripts["build_reference"].pages()
    return generated


def test_committed_pages_are_those_of_the_tables(pages: dict[str, str]) -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.iterdir()}

    assert sorted(committed) == sorted(pages)
    old = [name for name, text in pages.items() if committed[name] != text]
    assert not old, f"docs/reference: {old} differ from the code; run {COMMAND} and commit"


def test_the_scenario_file_has_overrides_and_inherits_all_but_its_name(
    pages: dict[str, str],
) -> None:
    _, section = pages["parameters.md"].split("## Scenario file")
    rows = [line.split(" | ") for line in section.split("###")[0].splitlines() if "| `" in line]
    default = {row[0].strip("| `"): row[3] for row in rows}

    assert default["name"] == "**required**"
    assert default["overrides"] == "absent"
    inherited = {key for key, text in default.items() if text == "**required**, or inherited"}
    assert inherited == {"title", "description", "site", "trace", "value"}


def test_every_key_says_what_it_means_and_every_number_in_which_unit(
    scripts: dict[str, ModuleType],
) -> None:
    tables = scripts["reference_parameters"]
    unsaid, unitless, n_keys = [], [], 0
    for model in (SiteConfig, ScenarioConfig, RigModel):
        for path, block in tables.walk(model, "", ()):
            assert block.__doc__, block
            for name, field in block.model_fields.items():
                n_keys += 1
                if not tables.description_of(field):
                    unsaid.append(f"{path}.{name}")
                if tables.is_number(field.annotation) and tables.unit_of(name) is None:
                    unitless.append(f"{path}.{name}")
    assert n_keys > 200
    assert unsaid == [], "give these a Field description"
    assert unitless == [], "end the name in a unit of docs/glossary.md"


def test_every_key_of_site_and_processes_stands_on_a_page(
    scripts: dict[str, ModuleType], pages: dict[str, str]
) -> None:
    text = pages["parameters.md"] + pages["processes.md"]
    for _, block in scripts["reference_parameters"].walk(ScenarioConfig, "", ()):
        for name in block.model_fields:
            assert f"| `{name}` |" in text, name


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("per_kw_month", "currency/kW/month"),
        ("surplus_quota_kwh_per_day", "kWh/day"),
        ("ramp_up_kw_per_min", "kW/min"),
        ("heat_rejection_kw_per_k", "kW/K"),
        ("rig_heat_capacity_kj_per_k", "kJ/K"),
        ("outdoor_offset_k", "K"),
        ("shortfall_penalty_per_kw_h", "currency/kW/h"),
        ("hazard_ref_per_h", "1/h"),
        ("n_rigs", "1"),
        ("colour", None),
    ],
)
def test_units_are_read_off_the_names(
    scripts: dict[str, ModuleType], name: str, unit: str | None
) -> None:
    assert scripts["reference_parameters"].unit_of(name) == unit


def test_a_feature_of_a_preset_stands_on_the_page_of_observations(pages: dict[str, str]) -> None:
    site = load_site("japan_pilot")
    text = pages["observation.md"]
    for feature in observation_table(site):
        name = re.sub(r"_\d{3}$", "_‹k›", feature.name)
        for group in site.groups:
            name = name.removesuffix(f"_{group.name}") + (
                "_‹group›" if name.endswith(f"_{group.name}") else ""
            )
        assert f"| `{name}` | {feature.unit} |" in text, feature.name
    assert "7919" not in text
    assert "GROUP" not in text


def test_a_ledger_line_names_a_key_that_exists(scripts: dict[str, ModuleType]) -> None:
    walked = scripts["reference_parameters"].walk(SiteConfig, "", ())
    keys = {
        f"{path}.{name}".replace("[]", "") for path, block in walked for name in block.model_fields
    }
    assert {term.block for term in LEDGER if term.block} <= keys
