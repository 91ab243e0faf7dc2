"""`gridhash commission`: measure a site's rigs with a person's consent."""

import asyncio
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gridhash.cli_operator import STATE, Rigs, SiteFile, State
from gridhash.terminal import console

if TYPE_CHECKING:
    from gridhash.serving.commission_run import CommissionRequest


def commission(
    state: State = STATE,
    site: SiteFile = None,
    rigs: Rigs = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Who takes the responsibility.")
    ] = None,
    yes_stop_rigs: Annotated[
        bool,
        typer.Option("--yes-stop-rigs", help="Stop and start rigs; else only the plan."),
    ] = False,
    restore: Annotated[
        bool,
        typer.Option("--restore", help="Only bring back rigs that a broken-off run left behind."),
    ] = False,
    rigs_per_kind: Annotated[
        int, typer.Option("--rigs-per-kind", help="Rigs of each model and firmware; 3 or more.")
    ] = 3,
    operation: Annotated[
        Path | None, typer.Option("--operation", help="Operation file, for which racks there are.")
    ] = None,
    reboot: Annotated[
        bool, typer.Option("--reboot/--no-reboot", help="Try whether standby outlasts a reboot.")
    ] = True,
) -> None:
    """Measure what rigs really do: stop and start times, standby power, levels, reboots, clocks.

    Three rigs of each model and firmware go through everything, then a rack and 5 % of the power
    stop and start. No controller may run meanwhile. Every rig is left as it was found, also after
    Ctrl-C; the same command goes on where an earlier one ended. Exit code 0 done, 1 look at the
    report.
    """
    from gridhash.serving.commission_run import CommissionRequest
    from gridhash.serving.commission_steps import TrialSettings
    from gridhash.serving.doctor_run import site_and_rigs
    from gridhash.serving.rig_list import read_rig_list
    from gridhash.serving.service import operation_of
    from gridhash.serving.state_folder import StateFolder

    folder = StateFolder(state)
    config, listed = site_and_rigs(folder, site, rigs)
    if listed is None:
        raise typer.BadParameter("--rigs FILE: which rigs are to be commissioned?")
    groups = {rig.rig_id: rig.group for rig in read_rig_list(listed)}
    request = CommissionRequest(
        site=config,
        rigs=listed,
        folder=folder,
        racks=operation_of(operation, config, groups).rack_of,
        person=person or getpass.getuser(),
        consents=yes_stop_rigs,
        restore_only=restore,
        rigs_per_kind=rigs_per_kind,
        settings=TrialSettings(reboot=reboot),
    )
    code, interrupted = asyncio.run(_commission(request))
    if interrupted:
        raise KeyboardInterrupt
    raise typer.Exit(code)


async def _commission(request: "CommissionRequest") -> tuple[int, bool]:
    from gridhash.serving.clock import RealClock
    from gridhash.serving.commission_run import commission_site
    from gridhash.serving.stop_signal import StopSignal

    def say(words: str) -> None:
        console.print(Text(words), soft_wrap=True)

    with StopSignal() as stop:
        code = await commission_site(request, RealClock(), say=say, stop=stop)
        return code, stop.interrupted
