"""Hashes of what a figure depends on, of small packages written for the test."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gridhash.training import code_hash as hashed
from gridhash.training.code_hash import code_hash, reached

START = {"top": '"""Doc."""\nimport mine.below\nX = 1\n', "below": "Y = 2\n", "aside": "Z = 3\n"}


@pytest.fixture
def hash_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], str]:
    """Return what hashes `mine.top` of a package `mine` of the given modules."""
    monkeypatch.setattr(hashed, "PACKAGE", "mine")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").touch()

    def run(modules: dict[str, str]) -> str:
        for name, text in modules.items():
            (tmp_path / f"mine/{name}.py").write_text(text, "utf-8")
        for cached in (hashed._tree, hashed._imported, hashed._is_package):
            cached.cache_clear()
        for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
            monkeypatch.delitem(sys.modules, name)
        return code_hash("mine.top")

    return run


def test_only_what_could_change_a_figure_changes_the_hash(
    hash_of: Callable[[dict[str, str]], str],
) -> None:
    before = hash_of(START)

    assert hash_of({"top": '"""Other."""\nimport mine.below  # why\n\nX=1\n'}) == before
    assert hash_of({"aside": "Z = 4\n"}) == before, "nobody imports it"
    assert hash_of({"below": "Y = 3\n"}) != before
    assert hash_of(START | {"top": START["top"] + "W = 1\n"}) != before
    assert hash_of(START) == before


@pytest.mark.parametrize(
    "line",
    [
        "from mine import aside\n",
        "from mine.aside import Z\n",
        "def f():\n    import mine.aside\n",
    ],
)
def test_an_import_is_followed_however_it_is_written(
    hash_of: Callable[[dict[str, str]], str], line: str
) -> None:
    top = {"top": START["top"] + line}
    before = hash_of(START | top)

    assert hash_of(top | {"aside": "Z = 4\n"}) != before


def test_a_rule_does_not_depend_on_planners_but_on_the_kernel() -> None:
    names = reached("gridhash.agents.rules", "gridhash.training.play")

    assert {"gridhash.envs.kernel", "gridhash.data.trace", "gridhash.units"} <= names
    assert "gridhash.agents.bound" not in names
    assert "gridhash.training.learner" not in names
