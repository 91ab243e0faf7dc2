"""What a controller keeps resident: no allocator's reserve, no code that only its start runs."""

import ctypes
import sys
from pathlib import Path

import pyarrow as pa

MADV_DONTNEED = 4
MAPS = Path("/proc/self/maps")


def take_memory_from_the_system() -> None:
    """Let Arrow take memory from the C library: its own pool keeps some 16 MB in reserve."""
    pa.set_memory_pool(pa.system_memory_pool())


def let_go_of_code() -> int:
    """Drop the code pages of loaded libraries from this process; return how many bytes they span.

    To compile and to read files, LLVM and Arrow bring some 100 MB of code that a running
    controller does not call again. Code is never written to: a page that is called after all comes
    back from its file, or from the page cache. On other systems than Linux nothing happens.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    n_bytes = 0
    for line in MAPS.read_text("utf-8").splitlines():
        span, rights, _, _, _, *path = line.split(maxsplit=5)
        if rights == "r-xp" and path and path[0].startswith("/"):
            start, end = (int(address, 16) for address in span.split("-"))
            if madvise(start, end - start, MADV_DONTNEED) == 0:
                n_bytes += end - start
    return n_bytes
