"""Which code a figure depends on, as one hash: a module, what it imports of ours, and so on.

Comments, docstrings and layout do not count, nor does what a module never reaches: a figure stays
valid until something that it could depend on changes.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

PACKAGE = "gridhash"


def code_hash(*modules: str) -> str:
    """Return the hash of modules and of all of gridhash that they import, 16 hex digits.

    >>> code_hash("gridhash.units") == code_hash("gridhash.units", "gridhash.units")
    True
    """
    digest = hashlib.sha256()
    for name in sorted(reached(*modules)):
        digest.update(f"{name}\n{ast.dump(_tree(name))}\n".encode())
    return digest.hexdigest()[:16]


def reached(*modules: str) -> set[str]:
    """Return the names of modules and of all of gridhash that they import, at any depth.

    Raises
    ------
    ModuleNotFoundError
        If there is no such module.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(name)
    return found


@cache
def _tree(module: str) -> ast.Module:
    """Return what a module says, without comments, layout and strings that stand alone."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no module {module}", name=module)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [one for one in body if not _is_text(one)]
    return tree


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Return the modules of gridhash that a module imports anywhere in its text."""
    names: list[str] = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.append(node.module)
            if _is_package(node.module):  # then what is named may be a module of it
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                names += [name for name in inside if importlib.util.find_spec(name) is not None]
    return tuple(name for name in names if _is_ours(name))


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


@cache
def _is_package(module: str) -> bool:
    if not _is_ours(module):
        return False
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


def _is_text(node: ast.AST) -> bool:
    """Return whether a statement is a string alone: a docstring, or one of an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
