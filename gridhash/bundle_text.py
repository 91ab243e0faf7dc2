"""Bundles in words and tables."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from gridhash.agents.bundle import BundleDescription
from gridhash.agents.bundle_diff import BundleDiff, Part
from gridhash.agents.bundle_manifest import DataSpan, Manifest, Verdict

N_CHANGES = 40
"""Differences of one part that are printed; `--json` has all."""


def standing(verdict: Verdict | None) -> str:
    """Return whether a policy may command rigs, and why."""
    if verdict is None:
        return "not deployable: it was never judged beside the rules of its site"
    return f"{'' if verdict.deployable else 'not '}deployable: {verdict.reason}"


def description(
    path: Path, told: BundleDescription, *, keys_given: bool, site: str | None
) -> Group:
    """Return what a person needs to know of a bundle; `site` is the name of the one asked about."""
    manifest = told.manifest
    zone = str(manifest.site["timezone"])
    provenance, verdict, versions = manifest.provenance, manifest.verdict, manifest.versions
    trust = "not compared with a key: give --key"
    if keys_given:
        trust = "trusted" if told.trusted else "NOT TRUSTED: none of the keys given signed it"
    groups = ", ".join(manifest.groups)
    signed_before = f"; before that by {', '.join(manifest.earlier_keys)}" * bool(
        manifest.earlier_keys
    )
    rows = {
        "policy": _policy_words(manifest),
        "site": f"{manifest.site_name}: {groups}; {manifest.currency}, settled every "
        f"{manifest.settlement_period_s / 60:g} min, dispatched every "
        f"{manifest.dispatch_interval_s / 60:g} min",
        "reads": f"{len(manifest.observation.features)} features",
        "forecasts": ", ".join(manifest.forecasters) or "none",
        "data": "\n".join(f"{span.role} {_span_words(span, zone)}" for span in provenance.data)
        or "not told",
        "seed": "not told" if provenance.seed is None else str(provenance.seed),
        "made": f"{manifest.created_at:%Y-%m-%d %H:%M} UTC with gridhash {versions.gridhash}, "
        f"numpy {versions.numpy}, Python {versions.python}"
        + (f", torch {provenance.torch_version}" if provenance.torch_version else "")
        + (f", commit {provenance.git_commit[:12]}" if provenance.git_commit else ""),
        "signature": f"holds, by {told.signer.key_id}{signed_before}; {trust}",
        "verdict": standing(verdict),
    }
    if site is not None:
        fit = "; ".join(told.misfits) or "it fits"
        rows[f"at {site}"] = "\n".join([fit, *told.site_changes])
    table = Table("", "", box=None, show_header=False, pad_edge=False)
    for name, text in rows.items():
        colour = "green" if manifest.deployable else "red"
        style = colour if name == "verdict" else ""
        table.add_row(Text(name, style="bold"), Text(text, style=style))
    parts: list[RenderableType] = [Text(str(path), style="bold"), table, Text()]
    if verdict is not None:
        parts.append(score_table(verdict, manifest.name, manifest.currency, zone))
    elif provenance.scores:
        scores = Table("score", "value", box=None, pad_edge=False)
        for name, value in provenance.scores.items():
            scores.add_row(name, f"{value:,.4g}")
        parts.append(scores)
    return Group(*parts)


def _span_words(span: DataSpan, timezone: str) -> str:
    """Return first and last local day, both played, and whose prices."""
    first = span.start.astimezone(ZoneInfo(timezone))
    last = (span.end - timedelta(seconds=1)).astimezone(ZoneInfo(timezone))
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, {span.source} ({span.area})"


def _policy_words(manifest: Manifest) -> str:
    spec, acts = manifest.policy, f"acts by {manifest.action.kind}"
    if spec.kind == "mlp" or spec.kind == "level_mlp":
        layers = " × ".join(map(str, spec.hidden)) or "no hidden layer"
        return f"network, {layers}, {acts}"
    if spec.kind == "table":
        return f"table {spec.table}, {acts}"
    given = ", ".join(f"{name} {value:g}" for name, value in spec.parameters.items())
    return f"rule {spec.rule}{f' ({given})' if given else ''}, {acts}"


def score_table(verdict: Verdict, name: str, currency: str, timezone: str) -> Table:
    """Return what policy, rules and bound earned on the span of the verdict, best first."""
    table = Table(title=_span_words(verdict.data, timezone), title_justify="left")
    table.add_column("policy")
    table.add_column(f"profit [{currency}]", justify="right")
    table.add_column("the policy earned more", justify="right")
    if verdict.bound is not None:
        table.add_row("perfect-foresight bound", f"{verdict.bound:,.0f}", "")
    rows = [(profit, rule) for rule, profit in verdict.rule_profits.items()]
    if verdict.over_rule is not None:
        rows.append((verdict.policy_profit, ""))
    for profit, rule in sorted(rows, key=lambda row: -row[0]):
        best = rule == verdict.rule.rule
        if not rule:
            table.add_row(Text(name, style="bold"), f"{profit:,.0f}", "", style="bold")
        elif best and verdict.over_rule is not None:
            gain = verdict.over_rule
            more = f"{gain.estimate:+,.0f} [{gain.low:+,.0f}, {gain.high:+,.0f}]"
            table.add_row(f"{rule} (best rule)", f"{profit:,.0f}", more)
        else:
            words = f"{rule} (this policy)" if best else rule
            more = f"{verdict.policy_profit - profit:+,.0f}"
            table.add_row(words, f"{profit:,.0f}", "" if best else more)
    return table


def differences(found: BundleDiff) -> Group:
    """Return what differs between two bundles, part by part."""
    first, second = (manifest.name for manifest in found.manifests)
    if not found.changes and not found.arrays:
        return Group("no difference")
    parts: list[RenderableType] = []
    for part in Part:
        own = [change for change in found.changes if change.part is part]
        if not own:
            continue
        key = Column(part.value, overflow="fold")  # the end of a key tells it from others
        table = Table(key, first, second, box=None, pad_edge=False, header_style="bold")
        for change in own[:N_CHANGES]:
            values = (Text(_short(value)) for value in (change.first, change.second))
            table.add_row(Text(change.key), *values)
        parts.append(table)
        if len(own) > N_CHANGES:
            parts.append(f"and {len(own) - N_CHANGES} more; see --json")
        parts.append("")
    if found.arrays:
        table = Table("weights", first, second, "distance", box=None, pad_edge=False)
        for name, shapes, relative in found.arrays:
            words = ["–" if s is None else " × ".join(map(str, s)) or "1" for s in shapes]
            table.add_row(name, *words, "–" if relative is None else f"{relative:.3g}")
        parts += [table, "distance: norm of the difference per norm of the first"]
    elif found.n_arrays:
        parts.append("weights are equal to the bit")
    return Group(*parts)


def _short(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.8g}" if isinstance(value, float) else str(value)
