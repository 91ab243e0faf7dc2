"""The service files start what the command line has, and systemd understands them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from gridhash.cli import app

UNITS = sorted((Path(__file__).parents[2] / "docs" / "systemd").glob("*.service"))


def command_of(unit: Path) -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text().replace("\\\n", " "), re.MULTILINE)
    words: list[str] = line.split()
    return words


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_option_exists(unit: Path) -> None:
    _, name, *arguments = command_of(unit)
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    known = {option for one in group.commands[name].params for option in one.opts}

    assert {word for word in arguments if word.startswith("--")} <= known


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    program = command_of(unit)[0]
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace(program, "/bin/true"))

    run = subprocess.run(
        ["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stderr) == (0, "")
