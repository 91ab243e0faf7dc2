"""A policy whose decisions are kept on disk, so that a play that was cut off goes on where it was.

The kernel plays a year in seconds: what takes time is deciding. So a play is resumed by playing
the kept actions again, to the bit, and asking the policy only for those that follow.
"""

import time
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from gridhash.agents.policy import Policy

SAVE_EVERY_S = 60.0
Floats = npt.NDArray[np.float64]


class RecordedPolicy:
    """Acts as another policy and keeps each action with the time that it took.

    Parameters
    ----------
    policy
        What decides; it must follow from the observation alone.
    path
        Where actions are kept, ``.npz``; what is there is played first. A file that a kill left
        damaged counts as absent.
    clock
        Seconds that rise; for tests.
    """

    def __init__(
        self, policy: Policy, path: Path, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Read what is kept."""
        self.policy = policy
        self.path = path
        self.clock = clock
        self.name = policy.name
        self.action_kind = policy.action_kind
        self.kept, self.seconds = _read(path)
        self.n_recalled = len(self.kept)
        self.step = 0
        self.saved_at = clock()

    def act(self, observation: npt.NDArray[np.float32]) -> Floats:
        """Return the kept action of this step, else that of the policy."""
        if self.step < self.n_recalled:
            action = self.kept[self.step]
        else:
            started = self.clock()
            action = self.policy.act(observation)
            ended = self.clock()
            self.kept.append(action)
            self.seconds.append(ended - started)
            if ended - self.saved_at > SAVE_EVERY_S:
                self.save()
        self.step += 1
        return action

    def save(self) -> None:
        """Keep what was decided so far; the file is replaced at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, actions=np.array(self.kept), seconds=np.array(self.seconds))
        part.replace(self.path)
        self.saved_at = self.clock()


def _read(path: Path) -> tuple[list[Floats], list[float]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return list(file["actions"]), file["seconds"].tolist()
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return [], []
