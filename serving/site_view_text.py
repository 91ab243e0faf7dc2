"""`gridhash status` for people: what is asked, what is measured, who says so, how old it is."""

from collections.abc import Iterator
from datetime import datetime

from gridhash.serving.site_view import Severity, SiteView

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0


def age(seconds: float) -> str:
    """Return an age as people say it.

    >>> age(7.4), age(200.0), age(7200.0), age(200000.0)
    ('7 s ago', '3 min ago', '2.0 h ago', '2.3 days ago')
    """
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s ago"
    if seconds < 2 * HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min ago"
    if seconds < 2 * DAY_S:
        return f"{seconds / HOUR_S:.1f} h ago"
    return f"{seconds / DAY_S:.1f} days ago"


def status_lines(view: SiteView) -> Iterator[tuple[str, str]]:
    """Yield lines as (label, words), most important first."""

    def ago(instant: datetime) -> str:
        return age(view.age_s(instant))

    yield "status", view.severity.name
    for problem in view.problems:
        yield problem.severity.name.lower(), problem.text
    beat = view.heartbeat
    if beat is not None:
        token = f"lease {beat.lease_token}, run {beat.run_id}, tick {beat.tick}"
        yield "controller", f"{beat.site}, mode {beat.mode}, {ago(beat.at)} ({token})"
        setpoints = ", ".join(f"{name} {kw:.1f}" for name, kw in beat.setpoint_kw.items())
        yield "wants", f"{sum(beat.setpoint_kw.values()):.1f} kW ({setpoints})"
        yield "because", f"{beat.authority}: {beat.reason}"
        for one in beat.reductions:
            yield "owes", f"at most {one.max_kw:.1f} kW until {one.until:%d %H:%M} UTC ({one.kind})"
    elif view.decision is not None:
        yield "wanted", f"{view.decision.setpoint_kw:.1f} kW, {ago(view.decision.at)}"
        yield "because", f"{view.decision.authority}: {view.decision.reason}"
    seen = view.supervision
    if seen is not None:
        yield (
            "measured",
            f"{seen.measured_kw:.1f} kW by the rigs themselves, at most {seen.potential_kw:.1f} "
            f"of {seen.cap_kw:.1f} kW allowed, {seen.claimed_kw:.1f} kW of reduction claimed, "
            f"{ago(seen.at)}",
        )
        yield from _of_meter(view)
        yield (
            "rigs",
            f"{seen.n_running} run, {seen.n_stopped} stand, {seen.n_unknown} unknown, "
            f"{seen.n_pending} with a command under way",
        )
    if view.guard is not None:
        yield "guard", f"{view.guard.guard} {view.guard.state}, {ago(view.guard.at)}"
    if view.lease is not None:
        over = "released" if view.lease.released else "held"
        yield "lease", f"{view.lease.token} {over} by {view.lease.holder}"
    if view.run is not None:
        run = view.run
        yield (
            "run",
            f"{run.run_id} since {run.started_at:%Y-%m-%d %H:%M} UTC, {run.policy_name}, bundle "
            f"{run.bundle_hash[:12] or 'none'}" + (f"; {run.note}" if run.note else ""),
        )
    for alarm in view.alarms:
        who = f"{alarm.rig_id}: " if alarm.rig_id else ""
        yield "alarm", f"{ago(alarm.at)}  {who}{alarm.kind}: {alarm.text}"


def _of_meter(view: SiteView) -> Iterator[tuple[str, str]]:
    meter = view.meter
    if meter is None:
        return
    shown = f"{meter.power_kw:.1f} kW" if meter.power_kw is not None else f"{meter.quality}, unused"
    yield (
        "metered",
        f"{shown} by the site's meter, {meter.verified_kw:.1f} kW of the reduction verified, mean "
        f"of the demand interval {meter.mean_kw:.1f}, {meter.limit_kw:.1f} kW allowed, rigs draw "
        f"{meter.trim:.3f} of their model, {age(view.age_s(meter.at))}",
    )


STYLE = {
    Severity.OK: "bold green",
    Severity.WARNING: "bold yellow",
    Severity.CRITICAL: "bold red",
    Severity.UNKNOWN: "bold magenta",
}
"""How a severity looks."""
