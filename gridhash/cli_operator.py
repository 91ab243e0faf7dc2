"""Commands of a running site: guard it."""

from pathlib import Path
from typing import Annotated

import typer

from gridhash.terminal import screen

State = Annotated[
    Path, typer.Option("--state", help="Folder of the site's journal, heartbeat and requests.")
]
STATE = Path("runs/serve")


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
