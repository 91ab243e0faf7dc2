"""The command that explains a decision: one answer or one error."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.signing import generate_key
from gridhash.cli import app
from gridhash.config import load_site
from gridhash.errors import GridhashError

AT = "2018-10-12T12:00"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(
        tmp_path, RuleSpec(rule="level_rule"), name="level", site=load_site("europe_sample"),
        key=generate_key(tmp_path / "key.pem"), created_at=datetime(2026, 9, 1, tzinfo=UTC),
        provenance=Provenance(),
    )  # fmt: skip


def explain(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments), "--days-before", "0.5"])
    if isinstance(result.exception, GridhashError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_words_json_and_picture(bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "why.svg"
    key = ("--key", tmp_path / "key.pub")

    text = " ".join(explain(bundle, "--at", AT, "--picture", picture, *key).split())
    told = json.loads(explain(bundle, "--at", f"{AT}+02:00", "--json"))

    assert "Friday 12 October 2018 12:00 (Europe/Amsterdam), europe_sample: level_rule" in text
    assert "No limit binds" in text
    assert "look-ahead rule (starts or goes on if published prices pay for it) would set 0" in text
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    assert told["at"] == "2018-10-12T12:00:00+02:00"
    assert told["choices"][0]["policy"] == "level_rule"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at", "noon"), "--at 'noon' is no time; write it as 2018-10-24T18:00"),
        (("--at", "2018-10-28T02:30"), "no single instant in Europe/Amsterdam"),
        (("--at", "2018-03-25T02:30"), "is no or no single instant"),
        (("--at", "2030-01-01T00:00"), "lies outside the data"),
        (("--at", AT, "--picture", "why.gif"), "says no picture format"),
        (("--at", AT, "--key", "a" * 64), "which is not trusted here"),
        (("--at", AT, "--site", "japan_pilot"), "does not fit site japan_pilot"),
        ((f"--at={AT}", "Atlantis"), "no scenario and no file is called Atlantis"),
    ],
)
def test_what_cannot_be_explained_is_one_error(
    bundle: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(GridhashError, match=message.replace("(", r"\(")):
        explain(bundle, *arguments)
