"""A running site as an operator sees it: from its files alone, asking no process.

Each part says how old it is. What needs a person is listed as a problem with its severity; the
worst of them is the exit code of `gridhash status`, in the way of monitoring plug-ins.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import IntEnum

from pydantic import AwareDatetime, Field

from gridhash.errors import ServingError
from gridhash.serving.guard_notice import GuardNotice, GuardState, read_guard_notice
from gridhash.serving.guard_settings import LONGEST_SILENCE_S
from gridhash.serving.guard_watch import LIVE
from gridhash.serving.heartbeat import Heartbeat, read_heartbeat
from gridhash.serving.journal import Journal, JournalError
from gridhash.serving.lease import LeaseRecord, read_lease
from gridhash.serving.requests import Request, RequestKind
from gridhash.serving.state_folder import Record, StateFolder
from gridhash.serving.stop_all import StopAllOrder, read_stop_all

HEARTBEAT_WARN_S = 30.0
GUARD_SILENT_S = 15.0
N_ALARMS = 8
ALARMS_OF = timedelta(hours=24)


class Severity(IntEnum):
    """How bad it is; the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Problem(Record):
    """Something that needs a person."""

    severity: Severity
    text: str


class RunView(Record):
    """The newest run of the journal."""

    run_id: int
    started_at: AwareDatetime
    mode: str
    policy_name: str
    bundle_hash: str
    note: str


class DecisionView(Record):
    """The last decision."""

    at: AwareDatetime
    authority: str
    setpoint_kw: float
    reason: str


class SupervisionView(Record):
    """The last look at the rigs."""

    at: AwareDatetime
    setpoint_kw: float
    measured_kw: float
    potential_kw: float
    cap_kw: float
    claimed_kw: float
    n_running: int
    n_stopped: int
    n_unknown: int
    n_pending: int


class MeterView(Record):
    """The last word on the site's meter."""

    at: AwareDatetime
    quality: str
    why: str
    power_kw: float | None
    reported_kw: float
    trim: float
    mean_kw: float
    limit_kw: float
    verified_kw: float


class AlarmView(Record):
    """One alarm; `rig_id` is None for the site."""

    at: AwareDatetime
    kind: str
    rig_id: str | None
    text: str


class SiteView(Record):
    """Everything."""

    at: AwareDatetime
    heartbeat: Heartbeat | None = None
    guard: GuardNotice | None = None
    stop_all: StopAllOrder | None = None
    lease: LeaseRecord | None = None
    run: RunView | None = None
    decision: DecisionView | None = None
    supervision: SupervisionView | None = None
    meter: MeterView | None = None
    """None for a site without one."""
    hold: Request | None = None
    """The last hold that was accepted and neither ended nor was released."""
    lockouts: Mapping[str, str] = Field(default={})
    alarms: tuple[AlarmView, ...] = ()
    """Of the last day, newest first."""
    problems: tuple[Problem, ...] = ()

    @property
    def severity(self) -> Severity:
        """The worst of the problems."""
        return max((problem.severity for problem in self.problems), default=Severity.OK)

    def age_s(self, instant: datetime) -> float:
        """Return how old something is [s]."""
        return (self.at - instant).total_seconds()


def view_site(folder: StateFolder, now: datetime) -> SiteView:
    """Return what the files of a site say now; whatever cannot be read is a problem."""
    faults: list[Problem] = []
    view = SiteView(at=now, stop_all=read_stop_all(folder.stop_all), lease=read_lease(folder.lease))
    try:
        view = view.model_copy(update={"heartbeat": read_heartbeat(folder.heartbeat)})
    except ServingError as err:
        faults.append(Problem(severity=Severity.CRITICAL, text=str(err)))
    try:
        view = view.model_copy(update={"guard": read_guard_notice(folder.guard_notice)})
    except ServingError as err:
        faults.append(Problem(severity=Severity.CRITICAL, text=str(err)))
    try:
        with Journal(folder.journal, read_only=True) as journal:
            view = view.model_copy(update=_from_journal(journal, now))
    except JournalError as err:
        faults.append(Problem(severity=Severity.UNKNOWN, text=str(err)))
    return view.model_copy(update={"problems": (*faults, *_problems(view))})


def _from_journal(journal: Journal, now: datetime) -> dict[str, object]:
    """Return the parts that the journal holds, by field of `SiteView`."""
    runs = journal.rows("SELECT * FROM runs ORDER BY id DESC LIMIT 1")
    if not runs:
        return {}
    run = runs[0]
    run_id = run["id"]
    since = (now - ALARMS_OF).isoformat()
    alarms = journal.rows(
        "SELECT at, kind, rig_id, text FROM alarms WHERE at >= ? ORDER BY id DESC LIMIT ?",
        since,
        N_ALARMS,
    )
    return {
        "run": RunView(
            run_id=run_id,
            started_at=run["at"],
            mode=run["mode"],
            policy_name=run["policy_name"],
            bundle_hash=run["bundle_hash"],
            note=run["note"],
        ),
        "decision": _last(journal, "decisions", DecisionView, run_id),
        "supervision": _last(journal, "supervisions", SupervisionView, run_id),
        "meter": _meter(journal, run_id),
        "hold": _hold(journal, now),
        "lockouts": journal.last_lockouts(),
        "alarms": tuple(AlarmView.model_validate(dict(alarm)) for alarm in alarms),
    }


def _last(journal: Journal, table: str, kind: type[Record], run_id: int) -> Record | None:
    names = ", ".join(kind.model_fields)
    rows = journal.rows(
        f"SELECT {names} FROM {table} WHERE run_id = ? ORDER BY id DESC LIMIT 1", run_id
    )
    return kind.model_validate(dict(rows[0])) if rows else None


def _meter(journal: Journal, run_id: int) -> Record | None:
    try:
        return _last(journal, "metering", MeterView, run_id)
    except JournalError:
        return None  # a journal of format 2, not written to since


def _hold(journal: Journal, now: datetime) -> Request | None:
    try:
        rows = journal.rows(
            "SELECT text FROM requests WHERE accepted AND kind IN (?, ?) ORDER BY id DESC LIMIT 1",
            str(RequestKind.HOLD),
            str(RequestKind.RELEASE),
        )
    except JournalError:
        return None  # a journal of format 1, not written to since
    request = Request.model_validate_json(rows[0]["text"]) if rows else None
    return request if request and request.until is not None and request.until > now else None


def _problems(view: SiteView) -> Iterator[Problem]:
    """Yield what needs a person."""

    def problem(severity: Severity, text: str) -> Problem:
        return Problem(severity=severity, text=text)

    yield from _of_heartbeat(view)
    guard = view.guard
    if guard is None:
        yield problem(Severity.WARNING, "no guard of this host was ever started here")
    elif view.age_s(guard.at) > GUARD_SILENT_S:
        yield problem(Severity.CRITICAL, f"the guard is silent for {view.age_s(guard.at):.0f} s")
    elif guard.state is not GuardState.WATCHING:
        bad = guard.state is GuardState.FAILSAFE
        severity = Severity.CRITICAL if bad else Severity.WARNING
        yield problem(severity, f"guard {guard.state}, epoch {guard.epoch}: {guard.reason}")
    if view.stop_all is not None:
        text = f"stop-all is in force: {view.stop_all.reason} ({view.stop_all.person})"
        yield problem(Severity.CRITICAL, text)
    if view.hold is not None:
        yield problem(Severity.WARNING, f"manual hold by {view.hold.person}: {view.hold.reason}")
    if view.lockouts:
        rigs = ", ".join(sorted(view.lockouts)[:5])
        yield problem(Severity.WARNING, f"{len(view.lockouts)} rigs are locked out: {rigs}")
    seen = view.supervision
    if seen is not None and seen.n_unknown:
        text = f"{seen.n_unknown} rigs cannot be measured; they count at full power"
        yield problem(Severity.WARNING, text)
    meter = view.meter
    if meter is not None and meter.power_kw is None:
        yield problem(Severity.WARNING, f"the site's meter is {meter.quality}: {meter.why}")
    if seen is not None and seen.potential_kw > seen.cap_kw + 1e-6:
        text = f"rigs may draw {seen.potential_kw:.0f} kW, the cap is {seen.cap_kw:.0f} kW"
        yield problem(Severity.CRITICAL, text)


def _of_heartbeat(view: SiteView) -> Iterator[Problem]:
    beat = view.heartbeat
    if beat is None:
        yield Problem(severity=Severity.UNKNOWN, text="no controller was ever started here")
        return
    age_s = view.age_s(beat.at)
    live = beat.mode == LIVE
    if age_s > HEARTBEAT_WARN_S:
        bad = live and age_s > LONGEST_SILENCE_S / 2.0
        severity = Severity.CRITICAL if bad else Severity.WARNING
        yield Problem(severity=severity, text=f"the controller is silent for {age_s:.0f} s")
    elif not live:
        text = f"mode {beat.mode}: no rig is commanded"
        yield Problem(severity=Severity.WARNING, text=text)
