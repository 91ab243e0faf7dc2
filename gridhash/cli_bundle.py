"""The `gridhash bundle` commands: look at, check, sign, compare, judge and export a policy."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridhash.cli_options import (
    Area,
    End,
    Prices,
    ScenarioName,
    Site,
    Start,
    StartCost,
    TestFrom,
    ValidateFrom,
    WorkLevels,
    request_of,
)
from gridhash.errors import BundleError
from gridhash.terminal import console, screen

if TYPE_CHECKING:
    from gridhash.agents.bundle import BundleDescription
    from gridhash.agents.bundle_manifest import Manifest
    from gridhash.agents.signing import PublicKey
    from gridhash.config import SiteConfig

app = typer.Typer(
    help="Look at, check, sign, compare, judge and export policy bundles.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
Bundle = Annotated[Path, typer.Argument(help="Bundle, a folder NAME.bundle.", show_default=False)]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="Public key that is trusted: .pub file or its digits; repeatable."),
]
SigningKeyFile = Annotated[
    Path, typer.Option("--signing-key", help="Private key (PEM) that signs the new bundle.")
]
NewBundle = Annotated[Path, typer.Option("--out", help="New bundle, NAME.bundle.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")]


@app.command()
def inspect(bundle: Bundle, key: Keys = None, site: Site = None, json_: Json = False) -> None:
    """Print what a bundle says of itself: policy, site, data, scores, verdict, signature.

    It need be neither trusted nor made for your site; a damaged one is refused.
    """
    from gridhash.agents.bundle import describe_bundle
    from gridhash.bundle_text import description

    told = describe_bundle(bundle, site=_site(site), trusted_keys=_keys(key))
    if json_:
        _print_json(
            {
                "signed_by": told.signer.hex,
                "trusted": told.trusted if key else None,
                "deployable": told.manifest.deployable,
                "misfits": told.misfits if site else None,
                "site_changes": told.site_changes if site else None,
                "manifest": told.manifest.model_dump(mode="json"),
            }
        )
        return
    screen.print(description(bundle, told, keys_given=bool(key), site=site))


@app.command()
def verify(
    bundle: Bundle,
    key: Annotated[
        list[str],
        typer.Option("--key", help="Public key that is trusted: .pub file or digits; repeatable."),
    ],
    site: Site = None,
    deployable: Annotated[
        bool, typer.Option("--deployable", help="Ask too that the policy may command rigs.")
    ] = False,
) -> None:
    """Check files, signature, signer, format and, with --site, the fit; exit 2 with the reason.

    Builds the policy as a site would, and asks it for one action.
    """
    import numpy as np

    from gridhash.agents.bundle import describe_bundle, load_bundle
    from gridhash.agents.policy import check_action
    from gridhash.bundle_text import standing

    keys = _keys(key)
    told = describe_bundle(bundle, trusted_keys=keys)
    at = _site(site) or _own_site(told.manifest, bundle)
    policy, manifest, forecasters = load_bundle(bundle, site=at, trusted_keys=keys)
    n_features = len(manifest.observation.features)
    middle = np.zeros((1, n_features), dtype=np.float32)
    for k, feature in enumerate(manifest.observation.features):
        middle[0, k] = min(max(1.0, feature.low), feature.high)
    check_action(policy.act(middle), n_sites=1, n_groups=len(manifest.groups))
    if deployable and not manifest.deployable:
        raise BundleError(f"{bundle}: {standing(manifest.verdict)}")
    forecasts = f", {len(forecasters)} forecasters" if forecasters else ""
    console.print(
        f"{bundle}: intact, signed by {told.signer}, fits {at.name}{forecasts}; "
        f"{standing(manifest.verdict)}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def sign(bundle: Bundle, signing_key: SigningKeyFile, out: NewBundle, key: Keys = None) -> None:
    """Sign a bundle again with a key of your own, after you have looked at it.

    The new bundle is the old one under another name and key; its manifest keeps who signed it
    before. With --key it must have been signed by one of these.
    """
    from gridhash.agents.bundle import describe_bundle, sign_again
    from gridhash.agents.signing import read_key

    own = read_key(signing_key)
    told = describe_bundle(bundle, trusted_keys=_keys(key))
    _ask_trust(bundle, told, key)
    path = sign_again(bundle, out, key=own)
    console.print(
        f"{path}: signed by {own.public}; before that by {told.signer}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def keygen(
    path: Annotated[Path, typer.Argument(help="New private key, such as own.pem.")],
) -> None:
    """Make a key pair: the private key signs bundles, the .pub beside it goes to the sites.

    Neither is ever overwritten; the private key is readable by you alone.
    """
    from gridhash.agents.signing import generate_key

    key = generate_key(path)
    console.print(
        f"{path}: keep it to yourself\n{path.with_suffix('.pub')}: {key.public.key_id}, for --key",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="Bundle.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Bundle.", show_default=False)],
    json_: Json = False,
) -> None:
    """Print what differs between two bundles: settings, scores, tables, site, weights."""
    from gridhash.agents.bundle_diff import diff_bundles
    from gridhash.bundle_text import differences

    found = diff_bundles(first, second)
    if json_:
        _print_json(
            {
                "changes": [change._asdict() for change in found.changes],
                "arrays": [distance._asdict() for distance in found.arrays],
                "n_arrays": found.n_arrays,
            }
        )
        return
    console.print(differences(found))


@app.command("export-onnx")
def export_onnx(
    bundle: Bundle,
    out: Annotated[Path, typer.Argument(help="File to write, such as policy.onnx.")],
    key: Keys = None,
) -> None:
    """Write a network as ONNX: observations (N, F) in, actions (N, G) out, both float32.

    Normalisation and bounds are inside; of a network that acts by levels the logits come out, one
    per level and group, for you to mask. Needs the extra `onnx`.
    """
    from gridhash.agents.bundle import describe_bundle, load_bundle
    from gridhash.agents.onnx_export import INPUT, result_of, write_onnx

    told = describe_bundle(bundle, trusted_keys=_keys(key))
    _ask_trust(bundle, told, key)
    site = _own_site(told.manifest, bundle)
    loaded = load_bundle(bundle, site=site, trusted_keys=[told.signer])
    write_onnx(loaded.policy, out)
    name, width = result_of(loaded.policy)
    manifest = loaded.manifest
    console.print(
        f"{out}: {INPUT} (batch, {len(manifest.observation.features)}) to {name} "
        f"(batch, {width}), {manifest.action.kind} per group",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def promote(
    bundle: Bundle,
    signing_key: SigningKeyFile,
    out: NewBundle,
    scenario: ScenarioName = None,
    key: Keys = None,
    site: Site = None,
    prices: Prices = None,
    area: Area = None,
    start: Start = None,
    end: End = None,
    start_cost: StartCost = None,
    work_levels: WorkLevels = False,
    validate_from: ValidateFrom = None,
    test_from: TestFrom = None,
) -> None:
    """Judge a policy beside the tuned rules on your own data; sign it as deployable if it passes.

    Rules are tuned on the span that teaches; all are played on the span that chooses. The policy
    passes if its profit above the best rule, paired by day, has a 95 % interval above zero, or if
    it is that rule. Otherwise nothing is written and the command exits 2.
    """
    from gridhash.agents.bundle import describe_bundle, load_bundle, sign_again
    from gridhash.agents.signing import read_key
    from gridhash.bundle_text import score_table
    from gridhash.training.opened import open_for_training
    from gridhash.training.progress import shown
    from gridhash.training.promotion import judge

    own = read_key(signing_key)
    told = describe_bundle(bundle, trusted_keys=_keys(key))
    _ask_trust(bundle, told, key)
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
    opened = open_for_training(request, validate_from=validate_from, test_from=test_from)
    policy = load_bundle(bundle, site=opened.scenario.site, trusted_keys=[told.signer]).policy
    with shown(console) as show:
        verdict = judge(
            opened.scenario, opened.spans, policy, judged_at=datetime.now(UTC), progress=show
        ).verdict
    at = opened.scenario.site
    console.print(score_table(verdict, policy.name, at.currency, at.timezone))
    if not verdict.deployable:
        raise BundleError(f"{bundle} is not promoted: {verdict.reason}")
    path = sign_again(bundle, out, key=own, verdict=verdict)
    console.print(
        f"{path}: deployable, {verdict.reason}; signed by {own.public}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _site(name: str | None) -> "SiteConfig | None":
    from gridhash.config import load_site

    return None if name is None else load_site(name)


def _own_site(manifest: "Manifest", bundle: Path) -> "SiteConfig":
    """Return the site that a bundle was made for."""
    from gridhash.config import parse_site

    return parse_site(dict(manifest.site), origin=f"{bundle}: the site in its manifest")


def _keys(given: list[str] | None) -> "list[PublicKey]":
    from gridhash.agents.signing import read_public_key

    return [read_public_key(key) for key in given or []]


def _ask_trust(bundle: Path, told: "BundleDescription", keys: list[str] | None) -> None:
    """Raise BundleError if keys are given and none of them signed the bundle."""
    from gridhash.agents.bundle import distrust

    if keys and not told.trusted:
        raise BundleError(f"{bundle}: {distrust(told.signer, _keys(keys))}")
