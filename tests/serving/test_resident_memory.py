import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gridhash.serving.resident_memory import let_go_of_code, take_memory_from_the_system


def code_kb() -> int:
    """Return the resident pages of code of libraries [kB]."""
    found, of_code = 0, False
    for line in Path("/proc/self/smaps").read_text("utf-8").splitlines():
        words = line.split()
        if "-" in words[0] and len(words[1]) == 4:
            of_code = words[1] == "r-xp" and words[-1].startswith("/")
        elif of_code and words[0] == "Rss:":
            found += int(words[1])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="pages are those of Linux")
def test_code_that_is_let_go_of_leaves_memory_and_is_there_when_called() -> None:
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    before, before_kb = np.linalg.inv(matrix), code_kb()
    assert let_go_of_code() > 2**20
    assert code_kb() < 0.8 * before_kb
    assert np.array_equal(np.linalg.inv(matrix), before)


def test_arrow_takes_its_memory_from_the_system() -> None:
    pool = pa.default_memory_pool()
    try:
        take_memory_from_the_system()
        assert pa.default_memory_pool().backend_name == "system"
    finally:
        pa.set_memory_pool(pool)
