"""Commands of a running site: guard, status, hold, arm, stop-all, lock-out, doctor."""

import asyncio
import getpass
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gridhash.terminal import console, errors, screen

if TYPE_CHECKING:
    from gridhash.serving.doctor_run import Patient
    from gridhash.serving.operator_request import Asked
    from gridhash.serving.requests import RequestKind

State = Annotated[
    Path, typer.Option("--state", help="Folder of the site's journal, heartbeat and requests.")
]
STATE = Path("runs/serve")
Person = Annotated[
    str | None, typer.Option("--person", help="Who asks; the user's name if not given.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded and shown.")]
Within = Annotated[
    float, typer.Option("--within", min=0.1, max=600.0, help="Seconds to wait for an answer.")
]
WITHIN_S = 15.0
Rigs = Annotated[
    Path | None, typer.Option("--rigs", help="CSV of the rigs; as served here if not given.")
]
SiteFile = Annotated[
    str | None, typer.Option("--site", help="Site preset or file; as served here if not given.")
]
DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")
SECONDS_OF = (86400, 3600, 60)


def guard(
    site: Annotated[str, typer.Argument(help="Site preset or file.")],
    rigs: Annotated[
        Path | None, typer.Option("--rigs", help="CSV: rig_id,group,address[,port].")
    ] = None,
    state: State = STATE,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="TOML: limits, hold time, [safe_profile] max_rig_kw."),
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option("--trust", help="Public key (.pub) that must have signed the settings."),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", help="Sign the settings with this key and end.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", help="HOST:PORT to hear a controller's heartbeats at."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Key file shared with the controller.")
    ] = None,
) -> None:
    """Watch a site's controller from a second process, and only ever lower.

    When the heartbeat is too old, rigs are stopped down to the safe profile (all, unless the
    settings say otherwise); when the site draws too much, down to its limit. Reductions in force
    are kept, nothing is ever started, and a controller that returns gets the rigs back after it
    has acknowledged and a hold time.
    """
    from gridhash.serving.guard_service import guard_site, sign_settings

    if sign is not None:
        sign_settings(settings, sign, screen)
        return
    if rigs is None:
        raise typer.BadParameter("--rigs FILE: a guard must know which rigs to stop")
    guard_site(
        site,
        rigs=rigs,
        state=state,
        settings=settings,
        trusted=trust,
        listen=listen,
        key=key,
        console=screen,
    )


def status(
    state: State = STATE,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Show a running site: what is asked, measured and claimed, who decides and why, how old it is.

    Exit code: 0 all well, 1 warning, 2 critical, 3 nothing known, as monitoring plug-ins have it.
    """
    from gridhash.serving.clock import RealClock
    from gridhash.serving.site_view import view_site
    from gridhash.serving.site_view_text import STYLE, status_lines
    from gridhash.serving.state_folder import StateFolder

    view = view_site(StateFolder(state), RealClock().now())
    if json_:
        shown = {"severity": view.severity.name, **view.model_dump(mode="json")}
        print(json.dumps(shown, indent=2))
    else:
        for label, words in status_lines(view):
            style = STYLE[view.severity] if label == "status" else ""
            console.print(Text.assemble((f"{label:<11}", "bold"), (words, style)), soft_wrap=True)
    raise typer.Exit(int(view.severity))


def hold(
    for_: Annotated[str, typer.Option("--for", help="How long, as 90m, 4h or 1d.")],
    setpoint_kw: Annotated[
        float | None, typer.Option("--setpoint-kw", min=0.0, help="Power of the site's rigs.")
    ] = None,
    cap_kw: Annotated[
        float | None, typer.Option("--cap-kw", min=0.0, help="Let the policy go on below this.")
    ] = None,
    reason: Reason = "",
    person: Person = None,
    state: State = STATE,
    within: Within = WITHIN_S,
) -> None:
    """Hold the site at a setpoint, or below a cap, until a time. Limits and obligations rank above.

    Exit code of this and the other requests: 0 accepted, 1 refused, 3 nobody took it, 4 waits for
    the next controller, 5 taken and not answered.
    """
    from gridhash.serving.clock import RealClock
    from gridhash.serving.requests import RequestKind

    until = RealClock().now() + duration(for_)
    fields = {"setpoint_kw": setpoint_kw, "cap_kw": cap_kw, "until": until}
    _ask(RequestKind.HOLD, state, person, reason, within, **fields)


def release(
    stop_all_: Annotated[
        bool, typer.Option("--stop-all", help="Lift the order that everything stands.")
    ] = False,
    reason: Reason = "",
    person: Person = None,
    state: State = STATE,
    within: Within = WITHIN_S,
) -> None:
    """End a manual hold, or lift a stop-all."""
    from gridhash.serving.requests import RequestKind

    kind = RequestKind.LIFT_STOP_ALL if stop_all_ else RequestKind.RELEASE
    _ask(kind, state, person, reason, within)


def arm(
    person: Annotated[str, typer.Option("--person", help="Who takes the responsibility.")],
    reason: Reason = "",
    state: State = STATE,
    within: Within = WITHIN_S,
) -> None:
    """Let the controller command rigs."""
    from gridhash.serving.requests import RequestKind

    _ask(RequestKind.ARM, state, person, reason, within)


def disarm(
    reason: Reason = "", person: Person = None, state: State = STATE, within: Within = WITHIN_S
) -> None:
    """Let the controller decide and record, and command no rig; the rigs stay as they are."""
    from gridhash.serving.requests import RequestKind

    _ask(RequestKind.DISARM, state, person, reason, within)


def lock_out(
    rigs: Annotated[list[str], typer.Argument(help="Names of rigs.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; whoever clears it reads it.")],
    person: Person = None,
    state: State = STATE,
    within: Within = WITHIN_S,
) -> None:
    """Stop rigs and let nothing start them until a person clears them."""
    from gridhash.serving.requests import RequestKind

    _ask(RequestKind.LOCK_OUT, state, person, reason, within, rigs=tuple(rigs))


def clear(
    rigs: Annotated[list[str], typer.Argument(help="Names of rigs.")],
    reason: Reason = "",
    person: Person = None,
    state: State = STATE,
    within: Within = WITHIN_S,
) -> None:
    """Take rigs back into use: end their lockout and forget their failures."""
    from gridhash.serving.requests import RequestKind

    _ask(RequestKind.CLEAR, state, person, reason, within, rigs=tuple(rigs))


def stop_all(
    reason: Reason = "",
    person: Person = None,
    state: State = STATE,
    site: SiteFile = None,
    rigs: Rigs = None,
    directly: Annotated[
        bool, typer.Option("--directly", help="Tell the rigs from here whatever a controller says.")
    ] = False,
) -> None:
    """Stop every rig now, with or without a controller, until `release --stop-all`.

    No emergency stop: that is the hard-wired one. Exit code 0 if a controller does it or every rig
    was seen to stand, 1 else.
    """
    from gridhash.serving.clock import RealClock
    from gridhash.serving.doctor_run import site_and_rigs
    from gridhash.serving.guard_lowering import guarded_rigs
    from gridhash.serving.rig_list import drivers_of, read_rig_list
    from gridhash.serving.state_folder import StateFolder
    from gridhash.serving.stop_all_now import is_done_by, order, stop_rigs

    def say(words: str) -> None:
        console.print(Text(words), soft_wrap=True)

    folder, clock, who = StateFolder(state), RealClock(), person or getpass.getuser()
    asked = order(folder, clock, person=who, reason=reason, say=say)
    if asked is not None:
        say(f"controller: {asked.text}")
    if is_done_by(asked) and not directly:
        return
    if not is_done_by(asked):
        say("no controller has said that it does it: the rigs are told from here")
    config, listed = site_and_rigs(folder, site, rigs)
    if listed is None:
        raise typer.BadParameter("--rigs FILE: which rigs are to stop?")
    drivers = drivers_of(read_rig_list(listed), config, clock)
    own = guarded_rigs(config, lambda group: drivers[group])
    stopped = asyncio.run(stop_rigs(folder, own, clock, person=who, say=say))
    if not stopped.complete:
        errors.print(
            Text(
                f"{stopped.n_rigs - stopped.n_standing} rigs were not seen to stand after "
                f"{stopped.seconds:.0f} s, {stopped.n_silent} of them do not answer: switch them "
                f"off at their supply. They are named in {folder.stop_all_record}"
            ),
            soft_wrap=True,
        )
    raise typer.Exit(0 if stopped.complete else 1)


def doctor(
    state: State = STATE,
    site: SiteFile = None,
    rigs: Rigs = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Bundle to verify.")] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", help="Public key (.pub) of the bundle.")
    ] = None,
    heartbeat_key: Annotated[
        Path | None, typer.Option("--heartbeat-key", help="Key shared with guards.")
    ] = None,
    guard_: Annotated[
        list[str] | None, typer.Option("--guard", help="HOST:PORT of a guard; may be repeated.")
    ] = None,
    secret: Annotated[
        list[Path] | None,
        typer.Option("--secret", help="File of a key or password; may be repeated."),
    ] = None,
) -> None:
    """Look whether host, files, bundle, rigs and guards are fit to serve; nothing is commanded.

    Each line says what was found and what to do. Exit code 0 all well, 1 warnings, 2 failures.
    """
    from gridhash.serving.doctor_run import Patient
    from gridhash.serving.guard_service import parse_guard_address
    from gridhash.serving.state_folder import StateFolder

    patient = Patient(
        folder=StateFolder(state),
        site=site,
        rigs=rigs,
        bundle=bundle,
        bundle_key=trust,
        link_key=heartbeat_key,
        guards=tuple(parse_guard_address(text) for text in guard_ or ()),
        secrets=tuple(secret or ()),
    )
    raise typer.Exit(asyncio.run(_examine(patient)))


async def _examine(patient: "Patient") -> int:
    from gridhash.serving.clock import RealClock
    from gridhash.serving.doctor import Grade
    from gridhash.serving.doctor_run import examine

    styles = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}
    worst = Grade.OK
    async for check in examine(patient, RealClock()):
        worst = max(worst, check.grade)
        grade = check.grade.name.lower()
        line = Text.assemble(
            (f"{grade:<5}", styles[check.grade]), (f"{check.name:<14}", "bold"), check.found
        )
        if check.remedy:
            line.append(f" → {check.remedy}", "italic")
        console.print(line, soft_wrap=True)
    return int(worst)


def duration(text: str) -> timedelta:
    """Return a duration written as 90m, 4h or 1d12h.

    >>> duration("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    found = DURATION.fullmatch(text)
    parts = [int(part or 0) for part in found.groups()] if found else [0]
    if not any(parts):
        raise typer.BadParameter(f"{text!r} is no duration; write it like 90m, 4h or 1d")
    return timedelta(seconds=sum(n * s for n, s in zip(parts, SECONDS_OF, strict=True)))


def _ask(
    kind: "RequestKind", state: Path, person: str | None, reason: str, within: float, **fields: Any
) -> None:
    """Ask, say what became of it, and end with its code."""
    from gridhash.serving.clock import RealClock
    from gridhash.serving.operator_request import ask
    from gridhash.serving.state_folder import StateFolder

    asked: Asked = ask(
        StateFolder(state),
        kind,
        RealClock(),
        person=person or getpass.getuser(),
        reason=reason,
        within_s=within,
        **fields,
    )
    console.print(Text(f"{kind} {asked.reply.name.lower()}: {asked.text}"), soft_wrap=True)
    raise typer.Exit(int(asked.reply))
