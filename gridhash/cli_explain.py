"""The `gridhash explain` command: why a policy decides as it does at one instant."""

import json
from pathlib import Path
from typing import Annotated

import typer

from gridhash.cli_options import (
    Area,
    End,
    Prices,
    ScenarioName,
    Site,
    Start,
    StartCost,
    WorkLevels,
    request_of,
)
from gridhash.errors import BundleError, ConfigError, DataError
from gridhash.terminal import console


def explain(
    bundle: Annotated[Path, typer.Argument(help="Bundle of the policy.", show_default=False)],
    at: Annotated[str, typer.Option("--at", help="Local time at the site: 2018-10-24T18:00.")],
    scenario: ScenarioName = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Public key that must have signed the bundle.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            help="Draw merit order, price and power to this .png, .svg or .pdf file.",
        ),
    ] = None,
    days_before: Annotated[
        float,
        typer.Option(
            "--days-before", min=0.0, max=366.0, help="Days that are played to the instant."
        ),
    ] = 4.0,
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    start: Start = None,
    end: End = None,
    start_cost: StartCost = None,
    work_levels: WorkLevels = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Say why a policy decides as it does at one instant, in words and in a picture.

    The policy is played from rest to the instant. Then: setpoint of each group, its shadow price,
    which limit or event binds, what the level rule and the look-ahead rule would set and what
    speaks for the difference, and which features moved the decision.
    """
    import pandas as pd

    from gridhash.agents.bundle import describe_bundle, distrust, load_bundle
    from gridhash.agents.signing import read_public_key
    from gridhash.training.day_picture import check_picture_file
    from gridhash.training.explain import explain as explain_policy
    from gridhash.training.explain import explanation_dict
    from gridhash.training.explain_picture import write_explanation_picture
    from gridhash.training.explain_text import explanation_text
    from gridhash.training.opened import open_for_training

    if picture is not None:
        check_picture_file(picture)
    keys = [] if key is None else [read_public_key(key)]
    told = describe_bundle(bundle, trusted_keys=keys)
    if keys and not told.trusted:
        raise BundleError(f"{bundle}: {distrust(told.signer, keys)}")
    request = request_of(
        scenario=scenario,
        site=site,
        prices=prices,
        area=area,
        start=start,
        end=end,
        start_cost=start_cost,
        work_levels=work_levels,
    )
    opened = open_for_training(request).scenario
    zone = opened.site.timezone
    try:
        instant = pd.Timestamp(at)
    except ValueError as err:
        raise ConfigError(f"--at {at!r} is no time; write it as 2018-10-24T18:00") from err
    try:
        instant = instant.tz_localize(zone) if instant.tzinfo is None else instant.tz_convert(zone)
    except ValueError as err:
        raise DataError(
            f"--at {at} is no or no single instant in {zone} (the clock changes there): write it "
            "with its offset, as 2018-10-28T02:30+02:00"
        ) from err
    policy = load_bundle(bundle, site=opened.site, trusted_keys=[told.signer]).policy
    found = explain_policy(opened, policy, instant, days_before=days_before)
    if picture is not None:
        write_explanation_picture(found, picture)
    if json_:
        print(json.dumps(explanation_dict(found), indent=2, ensure_ascii=False))
        return
    console.print(explanation_text(found))
    if picture is not None:
        console.print(f"\npicture  {picture}", markup=False, highlight=False, soft_wrap=True)
