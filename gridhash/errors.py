"""Errors that callers can act on.

GridhashError
├── ConfigError          the site file is wrong: fix the named key
├── DataError            the inputs are wrong: fix the file or the feed
│   ├── FileFormatError  the file is not what it claims to be
│   ├── TimeGridError    slots are missing, doubled or out of order
│   └── LookAheadError   something asked for a value before it is known
├── BundleError          the policy does not fit this site, or is not intact
├── PolicyError          a policy gave something that is no decision
├── SolverError          the optimiser found no optimum
├── TrainingError        a training run cannot start or go on as asked
└── ServingError         the site cannot be run as asked
    ├── RigUnreachable   no answer: retry, then leave the rig as it is
    └── PortInUse        another program listens at the address
"""


class GridhashError(Exception):
    """Base of every error that gridhash raises on purpose; the CLI prints it and exits 2."""


class ConfigError(GridhashError):
    """The site file is wrong; the message names file, key, value and what to do."""


class DataError(GridhashError):
    """The inputs are wrong; the message names file, row, column, value and what to do."""


class FileFormatError(DataError):
    """The file is not in the format that its reader expects."""


class TimeGridError(DataError):
    """Slots are missing, doubled or out of order."""


class LookAheadError(DataError):
    """Something asked for a value before the value is known."""


class BundleError(GridhashError):
    """The policy bundle does not fit this site, or is damaged or unsigned."""


class PolicyError(GridhashError):
    """A policy returned something that is no decision: wrong shape, NaN or out of range."""


class SolverError(GridhashError):
    """The optimiser found no optimum; the message carries its status."""


class TrainingError(GridhashError):
    """A training run cannot start or go on as asked."""


class ServingError(GridhashError):
    """The site cannot be run as asked."""


class RigUnreachable(ServingError):
    """A rig did not answer within its deadline."""


class PortInUse(ServingError):
    """Another program already listens at the address."""
