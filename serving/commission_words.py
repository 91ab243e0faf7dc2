"""What a commissioning says to a person, before and after."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gridhash.config import SiteConfig
from gridhash.serving.commission import Commissioned
from gridhash.serving.commission_plan import CommissionPlan
from gridhash.serving.commission_progress import Progress
from gridhash.serving.commission_steps import TrialSettings
from gridhash.serving.commissioning_record import (
    LEAST_RIGS,
    CommissionedKind,
    CommissioningRecord,
    Quantiles,
    record_beside,
)
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.units import W_PER_KW

N_NAMED = 5
POINTS_GUESSED = 3
SURVIVES = {
    True: "a stopped rig still stands after a reboot",
    False: "a stopped rig STARTS BY ITSELF after a reboot or a power cut",
    None: "not known whether a stopped rig still stands after a reboot",
}


def plan_lines(
    site: SiteConfig,
    plan: CommissionPlan,
    settings: TrialSettings,
    progress: Progress,
    record: CommissioningRecord,
) -> Iterator[str]:
    """Yield what would be done; nothing was commanded."""
    yield f"PLAN for {site.name}. Nothing is commanded without --yes-stop-rigs."
    if progress.left_behind:
        yield (
            f"  {_named(progress.left_behind)} were left as they are by a commissioning that was "
            "broken off: gridhash commission --restore brings them back"
        )
    for kind, rigs in plan.kinds.items():
        firmware, model, version = kind
        known = record.kind(*kind)
        state = f"commissioned {known.at:%Y-%m-%d}" if known else "never commissioned"
        yield f"  {model}, {firmware} {version}: {len(rigs)} run; {state}"
    for number, stage in enumerate(plan.stages, 1):
        kw = sum(plan.rig_w[rig_id] for rig_id in stage.rigs) / W_PER_KW
        what = (
            "levels, stop, standby, reboot, start; about "
            f"{settings.expected_s(POINTS_GUESSED) / 60.0:.0f} min"
            if stage.full
            else "stop and start; about "
            f"{(settings.settle_s + settings.resume_limit_s / 2.0) / 60.0:.0f} min"
        )
        yield f"  stage {number}, {stage.words}: {len(stage.rigs)} rigs, {kw:.0f} kW: {what}"
        yield f"    {_named(stage.rigs)}"
    if not plan.stages:
        yield "  no rig runs that could be tried: start the site first"
    yield from _left_alone(plan)


def report_lines(
    site: SiteConfig,
    rigs: Path,
    plan: CommissionPlan,
    done: Commissioned,
    kinds: Sequence[CommissionedKind],
) -> Iterator[str]:
    """Yield what came of it, what needs a person first."""
    yield ""
    for rig_id, why in done.not_restored.items():
        yield f"LOOK AT {rig_id} NOW: it is not as it was found: {why}"
    if done.not_restored:
        yield "then: gridhash commission --restore"
    else:
        yield "every rig that was touched runs as it was found"
    if done.ended:
        yield f"ENDED EARLY: {done.ended}. The same command goes on from here."
    for own in done.measured:
        for words in own.problems:
            yield f"PROBLEM {own.rig_id}: {words}; lock it out until it is mended"
    for own in done.measured:
        for words in own.foreign:
            yield (
                f"SOMETHING ELSE commands {own.rig_id}: {words}; find that manager and switch it "
                "off for these rigs"
            )
    for kind in kinds:
        yield from _kind_lines(kind)
    yield from _left_alone(plan)
    if not kinds:
        yield f"nothing written: a figure needs {LEAST_RIGS} rigs of a kind that did as told"
    elif not done.not_restored:
        yield f"written: {record_beside(rigs)}, which gridhash serve reads beside {rigs.name}"
        yield from _site_lines(site, kinds, done)


def _kind_lines(kind: CommissionedKind) -> Iterator[str]:
    yield (f"{kind.model}, {kind.firmware} {kind.version}: {kind.n_rigs} rigs, {kind.at:%Y-%m-%d}")
    rows = (
        ("stop to standby", kind.stop_s, "s"),
        ("start to power", kind.resume_s, "s"),
        ("start to hash", kind.hash_s, "s"),
        ("standby", kind.standby_w, "W"),
        ("running", kind.running_w, "W"),
        ("clock off by", kind.clock_skew_s, "s"),
    )
    for name, spread, unit in rows:
        yield f"  {name:<16} {_spread(spread, unit)}"
    if kind.points:
        for point in kind.points:
            yield (
                f"  takes {point.name}: {_spread(point.power_w, 'W')}, "
                f"after {point.seconds.p50:.0f} s"
            )
    else:
        yield "  takes no level between standing and running: on/off"
    yield f"  {SURVIVES[kind.sleep_survives_reboot]}"


def _site_lines(
    site: SiteConfig, kinds: Sequence[CommissionedKind], done: Commissioned
) -> Iterator[str]:
    """Yield what a person should write into the site file."""
    for group in site.groups:
        keys = {
            (FirmwareName(rig.firmware), rig.model, rig.version)
            for rig in done.measured
            if rig.group == group.name
        }
        own = [kind for kind in kinds if kind.key in keys]
        standby_w = max((kind.standby_w.p50 for kind in own if kind.standby_w), default=None)
        boot_s = max((kind.resume_s.p90 for kind in own if kind.resume_s), default=None)
        if standby_w is None or boot_s is None:
            continue
        hash_s = max((kind.hash_s.p90 for kind in own if kind.hash_s), default=boot_s)
        yield f"for the site file, group {group.name}:"
        yield f"  standby_w = {standby_w:.1f}    # has {group.standby_w:g}"
        yield f"  boot_s = {boot_s:.0f}    # has {group.boot_s:g}"
        yield f"  warm_up_s = {max(hash_s - boot_s, 0.0):.0f}    # has {group.warm_up_s:g}"
        levels = {
            round(point.power_w.p50 / group.rig_power_w, 3)
            for kind in own
            for point in kind.points
            if point.level is not None
        }
        if levels:
            yield f"  optional_work_levels = {sorted(levels)}    # used if use_work_levels = true"


def _left_alone(plan: CommissionPlan) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for rig_id, why in plan.left_alone.items():
        reasons.setdefault(why.split(" (")[0].split(":")[0], []).append(rig_id)
    for why, rigs in reasons.items():
        yield f"  left alone, {why}: {_named(rigs)}"
    for (firmware, model, version), count in plan.too_few.items():
        yield (
            f"  {model}, {firmware} {version}: only {count} run, {LEAST_RIGS} are needed; no "
            "figure of it is written"
        )


def _spread(spread: Quantiles | None, unit: str) -> str:
    if spread is None:
        return "not measured"
    return (
        f"{spread.p50:.1f} {unit} (p10 {spread.p10:.1f}, p90 {spread.p90:.1f}, "
        f"most {spread.most:.1f}, n {spread.n})"
    )


def _named(rigs: Iterable[str]) -> str:
    names = list(rigs)
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return ", ".join(names[:N_NAMED]) + more
