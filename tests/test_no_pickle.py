"""Outside training nothing reads what can run code when it is read: pickle and its kin."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("gridhash", "data", "envs", "agents", "serving")
MODULES = {
    "_pickle", "cPickle", "cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "pickle",
    "shelve", "torch",
}  # fmt: skip
READERS = {"read_pickle", "joblib_load", "unpickle", "load_pickle", "Unpickler"}
"""Functions that unpickle, whichever module they are taken from."""


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every way in a module to read a pickle."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names if alias.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=module, names=names):
                found = [module or ""] if (module or "").split(".")[0] in MODULES else []
                found += [alias.name for alias in names if alias.name in READERS]
            case ast.Attribute(attr=attr) if attr in READERS:
                found = [attr]
            case ast.Call(func=ast.Name(id="__import__" | "import_module")):
                found = ["import by name"]
            case ast.Call(func=ast.Attribute(attr="import_module")):
                found = ["import by name"]
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=False)):
                found = []
            case ast.keyword(arg="allow_pickle"):
                found = ["allow_pickle"]
            case _:
                found = []
        yield from ((getattr(node, "lineno", 0), text) for text in found)


def test_no_package_but_training_reads_a_pickle() -> None:
    # Folders are walked by their own names; the links inside gridhash/ lead to them.
    paths = [
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any(parent.is_symlink() for parent in path.parents)
    ]
    found = [
        f"{path.relative_to(ROOT)}:{line} {text}"
        for path in paths
        for line, text in faults(path.read_text(encoding="utf-8"))
    ]

    assert len(paths) > 150
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import numpy as np, pickle as p",
        "def f():\n    from joblib import load",
        "from torch import load",
        "import torch.nn",
        "import pandas as pd\npd.read_pickle('x')",
        "from pandas import read_pickle as read",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "__import__('pickle')",
        "import importlib\nimportlib.import_module('pickle')",
    ],
)
def test_the_scan_finds_what_it_looks_for(source: str) -> None:
    assert list(faults(source))


def test_the_scan_lets_safe_reading_pass() -> None:
    assert not list(faults("import numpy as np\nnp.load('x', allow_pickle=False)\nnp.load('y')"))
