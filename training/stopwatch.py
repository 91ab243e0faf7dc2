"""How long something took that was done in several attempts."""

import json
import time
from pathlib import Path

from gridhash.training.json_file import write_json


class Stopwatch:
    """Adds up the time of attempts, some of which were killed.

    A killed attempt counts until the last checkpoint that it wrote.
    """

    def __init__(self, path: Path, checkpoint_path: Path) -> None:
        """Close the attempt before, if one was cut off, and begin one."""
        self.path = path
        before_s = 0.0
        if path.exists():
            kept = json.loads(path.read_text("utf-8"))
            before_s = kept["before_s"]
            if checkpoint_path.exists():
                before_s += max(checkpoint_path.stat().st_mtime - kept["started"], 0.0)
        self.before_s, self.started = before_s, time.time()
        write_json({"before_s": before_s, "started": self.started}, path)

    def total_s(self) -> float:
        """Return the time of all attempts so far [s]."""
        return self.before_s + time.time() - self.started
