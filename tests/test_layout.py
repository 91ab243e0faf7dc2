"""The layout holds: one import name, five folders, everything listed, everything shipped."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridhash.config import load_site, preset_names

ROOT = Path(__file__).parents[1]
FOLDERS = ("data", "envs", "agents", "training", "serving")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAX_MODULE_LINES = 400
EVERYTHING = ("train", "drivers", "site", "history", "onnx", "search", "cluster", "dev")


def modules(*folders: str) -> Iterator[Path]:
    """Yield the Python files under folders of the root, each once: links are not followed."""
    for folder in folders:
        for here, _, names in os.walk(ROOT / folder):
            yield from (Path(here) / name for name in sorted(names) if name.endswith(".py"))


def git(*arguments: str, code: int = 0) -> list[str]:
    """Return the lines that git prints; skip where there is no repository."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git clone")
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("folder", FOLDERS)
def test_link_in_gridhash_leads_to_the_folder_beside_it(folder: str) -> None:
    link = ROOT / "gridhash" / folder

    assert link.is_symlink(), f"{link} must be a link: ln -s ../{folder} {link}"
    assert os.readlink(link) == f"../{folder}"
    assert link.resolve() == ROOT / folder
    assert not (ROOT / folder).is_symlink()


def test_every_folder_with_modules_is_listed_as_a_package() -> None:
    found = set()
    for path in modules("gridhash", *FOLDERS):
        parts = path.parent.relative_to(ROOT).parts
        found.add(".".join(parts if parts[0] == "gridhash" else ("gridhash", *parts)))

    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and name of every import of a module, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def test_no_module_imports_a_folder_by_its_bare_name_or_relatively() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules("gridhash", "tests", "benchmarks", "scripts", *FOLDERS)
        for line, name in imports(path)
        if name.startswith(".") or name.split(".")[0] in FOLDERS
    ]

    assert faults == []


def test_every_module_stays_under_the_line_limit() -> None:
    # Tests mirror modules one to one, so they are as long as their module asks for.
    n_lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules("gridhash", "benchmarks", "scripts", *FOLDERS)
    }

    assert {path: n for path, n in n_lines.items() if n >= MAX_MODULE_LINES} == {}


def test_every_preset_loads() -> None:
    names = preset_names()

    assert {"japan_pilot", "texas_air"} <= set(names)
    for name in names:
        assert load_site(name).name


def test_git_ignores_neither_code_nor_samples_nor_anything_tracked() -> None:
    new_files = [f"{folder}/new.{kind}" for folder in FOLDERS for kind in ("py", "csv", "json")]

    listed = git("check-ignore", "--verbose", "--non-matching", "--no-index", *new_files, code=1)
    assert listed == [f"::\t{name}" for name in new_files]
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == []


def normalised(requirement: str) -> str:
    """Return the name of a requirement as registries compare it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=\[ ;]", requirement)[0]).lower()


def declared(*extras: str) -> set[str]:
    """Return the distributions that the package and some of its extras ask for."""
    project = PYPROJECT["project"]
    tables = (project["dependencies"], *(project["optional-dependencies"][e] for e in extras))
    return {normalised(requirement) for table in tables for requirement in table} - {"gridhash"}


def test_every_dependency_is_pinned_and_no_index_is_named() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert declared(*EVERYTHING) - {normalised(pin) for pin in pins} == set()


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (("gridhash", "data", "envs", "agents"), ("onnx",)),
        (("training",), ("train", "search", "cluster")),
        (("serving",), ("drivers", "site", "history")),
        (("tests", "benchmarks", "scripts"), EVERYTHING),
    ],
)
def test_every_import_is_a_declared_dependency(
    folders: tuple[str, ...], extras: tuple[str, ...]
) -> None:
    distributions = importlib.metadata.packages_distributions()
    known = {*sys.stdlib_module_names, "gridhash"}
    if "tests" in folders:
        beside = (path for own in ("benchmarks", "scripts") for path in (ROOT / own).glob("*.py"))
        known |= {"tests", *(path.stem for path in beside)}
    faults = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(*folders)
        for line, name in imports(path)
        if name.split(".")[0] not in known
        and not declared(*extras) & set(map(normalised, distributions.get(name.split(".")[0], ())))
    ]

    assert faults == []


def test_wheel_holds_every_package_file_and_works_without_the_clone(tmp_path: Path) -> None:
    backend = importlib.metadata.version("setuptools")
    if int(backend.split(".")[0]) < 77:
        pytest.skip(f"setuptools {backend} cannot build this project; 77 or newer can")
    clone, target = tmp_path / "clone", tmp_path / "installed"
    for name in git("ls-files", "--cached", "--others", "--exclude-standard"):
        source, copy = ROOT / name, clone / name
        if source.is_symlink() or source.is_file():  # else: deleted, not yet committed
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)

    options = "--quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check"
    run(
        [sys.executable, "-m", "pip", "wheel", *options.split(), "-w", str(tmp_path), str(clone)],
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        ("" if folder == "gridhash" else "gridhash/") + str(path.relative_to(clone))
        for folder in ("gridhash", *FOLDERS)
        for path in (clone / folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    script = (
        "import gridhash, gridhash.envs, gridhash.agents, gridhash.training, gridhash.serving\n"
        "import gridhash.data.samples\n"
        "from gridhash.config import load_site, preset_names\n"
        "print(len([load_site(name) for name in preset_names()]), gridhash.__file__)\n"
    )
    printed = run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)}
    )

    assert shipped == expected
    assert printed.split() == [str(len(preset_names())), str(target / "gridhash/__init__.py")]


def run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Return what a command prints; its error output is the failure's message."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
