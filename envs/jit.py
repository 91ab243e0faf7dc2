"""The one decorator for numerical functions.

numba's on-disk cache does not see an edit in a *called* file, so the cache directory is named
after a hash of every module here, and of those of `agents` that call each other compiled.
Set ``NUMBA_DISABLE_JIT=1`` to run all of it as plain Python.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import platformdirs


def _source_hash() -> str:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    compiled = [*here.glob("*.py"), *(here.parent / "agents").glob("start_stop_*.py")]
    for path in sorted(compiled):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(
        Path(platformdirs.user_cache_dir("gridhash")) / "numba" / _source_hash()
    )

from numba import config as _config  # noqa: E402  (numba reads NUMBA_CACHE_DIR when imported)
from numba import njit as _njit  # noqa: E402
from numba import typeof as _typeof  # noqa: E402
from numba import types as _types  # noqa: E402
from numba.extending import intrinsic as _intrinsic  # noqa: E402

_Function = TypeVar("_Function", bound=Callable[..., Any])
_compile: Any = _njit
_type_of: Any = _typeof
_settings: Any = _config
_as_instruction: Any = _intrinsic


def njit(function: _Function) -> _Function:
    """Compile a function that neither allocates memory nor uses fast-math.

    Without fast-math single and batched stepping agree to the bit. ``_nrt=False``: the functions
    only borrow their arrays, so numba need not count references; counting them took nine tenths
    of a step. ``inline``: passing some fifty arrays down a call took half of the rest. ``nogil``:
    threads run beside each other.
    """
    compiled: _Function = _compile(
        cache=True, error_model="numpy", nogil=True, _nrt=False, inline="always"
    )(function)
    return compiled


def _fused(_: Any, a: Any, b: Any, c: Any) -> Any:
    """Tell numba the type of `fused` and the instruction that it is."""
    number = _types.float64
    return number(number, number, number), lambda _, builder, __, given: builder.fma(*given)


def _apart(a: float, b: float, c: float) -> float:
    return a * b + c


fused: Callable[[float, float, float], float] = (
    _apart if _settings.DISABLE_JIT else _as_instruction(_fused)
)
"""Returns a b + c rounded once, in one instruction; without compiling, rounded twice."""


@njit
def counted(index: int) -> int:
    """Return an index from zero to 2³² - 1 unchanged, and let the compiler know that it is one.

    Compiled code checks an index for being negative at every use, unless it sees that it is not.
    """
    return int(np.intp(np.uint32(index)))


def bound_to_types(function: Callable[..., None], *args: Any) -> Callable[..., None]:
    """Return the machine code of a compiled function for the types of these arguments.

    A call of the function itself finds out the type of every array in every tuple anew: some
    12 µs for the kernel, ten times its work on one site. What is returned must be called with
    arguments of the same types, and checks none.
    """
    compiled: Any = function
    if not hasattr(compiled, "overloads"):
        return function  # NUMBA_DISABLE_JIT
    types = tuple(_type_of(argument) for argument in args)
    if types not in compiled.overloads:
        compiled.compile(types)
    entry_point: Callable[..., None] = compiled.overloads[types].entry_point
    return entry_point
