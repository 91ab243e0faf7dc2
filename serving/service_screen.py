"""What `gridhash serve` shows: who is there, what is asked and measured, what came of it."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gridhash.agents.bundle_manifest import Manifest
from gridhash.serving.controller import Controller
from gridhash.serving.decide import Decision
from gridhash.serving.journal import Journal
from gridhash.serving.market_now import MarketNow
from gridhash.serving.roll_call import Fate, RigFate
from gridhash.serving.site_state import market_row_at
from gridhash.serving.site_status import Mode

N_ALARMS = 5
N_PROBLEMS = 8
ROOM_FOR_ECHO = 3
"""Columns in which the terminal may echo ^C without breaking the line."""
MODE_WORDS = {
    Mode.SHADOW: "SHADOW: decides and records, commands no rig",
    Mode.ADVISORY: "ADVISORY: says what to command, commands no rig",
    Mode.LIVE: "LIVE: commands rigs",
}
FATE_STYLE = {
    Fate.IDENTIFIED: "green",
    Fate.UNKNOWN_MODEL: "yellow",
    Fate.OTHER_MACHINE: "red",
    Fate.UNREACHABLE: "red",
}


def lines(pairs: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return names and values as two columns that wrap."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in pairs:
        table.add_row(name, value if not isinstance(value, str) else Text(value))
    return table


def banner(
    manifest: Manifest,
    market: MarketNow,
    journal: Journal,
    *,
    mode: Mode,
    now: datetime,
    changes: Sequence[str],
    unproven: str,
    all_loopback: bool,
) -> Panel:
    """Return what is about to run, and on what."""
    site, trace = market.scenario.site, market.scenario.trace
    pairs: list[tuple[str, RenderableType]] = [
        ("mode", Text(MODE_WORDS[mode], style="bold red" if mode is Mode.LIVE else "bold")),
        ("site", f"{site.name}: {site.n_rigs} rigs listed, {site.max_rig_kw:,.1f} kW"),
        ("policy", f"{manifest.name}, signed by {manifest.key_id}"),
        ("prices", f"{trace.source}, until {market.market_time(trace.end):%Y-%m-%d %H:%M}"),
    ]
    if market.is_replay:
        note = f"REPLAY: prices of {market.market_time(now):%Y-%m-%d %H:%M} are taken for today's"
        pairs.append(("market", Text(note, style="bold reverse")))
    if unproven:
        pairs.append(("note", Text(f"not deployable: {unproven}", style="yellow")))
    if all_loopback:
        pairs.append(("rigs", "at loopback addresses of this machine: simulated"))
    if changes:
        more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
        text = f"the site file differs from that at training: {changes[0]}{more}"
        pairs.append(("note", Text(text, style="yellow")))
    pairs.append(("journal", str(journal.path)))
    return Panel(lines(pairs), title="gridhash serve", title_align="left")


def roll(fates: Sequence[RigFate]) -> RenderableType:
    """Return the fate of every rig, those alike on one line."""
    table = Table(title=f"{len(fates)} rigs of the list", title_justify="left")
    for name in ("group", "fate", "model", "rigs", "which"):
        table.add_column(name, justify="right" if name == "rigs" else "left")
    alike: dict[tuple[str, Fate, str], list[str]] = {}
    for fate in fates:
        alike.setdefault((fate.group, fate.fate, fate.model), []).append(fate.rig_id)
    for (group, kind, model), rig_ids in alike.items():
        which = ", ".join(rig_ids) if len(rig_ids) <= 2 else f"{rig_ids[0]} … {rig_ids[-1]}"
        table.add_row(
            Text(group),
            Text(str(kind), style=FATE_STYLE[kind]),
            Text(model or "–"),
            str(len(rig_ids)),
            Text(which),
        )
    problems = [fate.detail for fate in fates if fate.detail]
    shown = [Text(f"  {detail}", style="dim") for detail in problems[:N_PROBLEMS]]
    if len(problems) > N_PROBLEMS:
        shown.append(Text(f"  and {len(problems) - N_PROBLEMS} more", style="dim"))
    return Group(table, *shown)


class ServiceScreen:
    """Shows a running controller: live on a terminal, else a line per decision and alarm."""

    def __init__(
        self, console: Console, controller: Controller, market: MarketNow, journal: Journal
    ) -> None:
        """Show nothing yet."""
        self._console = console
        self._controller = controller
        self._market = market
        self._journal = journal
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown_at: datetime | None = None
        self._alarm_id = 0

    def __enter__(self) -> "ServiceScreen":
        """Take the bottom of the terminal."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back; the last state stays to be read."""
        if self._live is not None:
            self._live.stop()

    def show(self) -> None:
        """Show the state after a tick."""
        if self._live is not None:
            self._live.update(self._panel(), refresh=True)
        else:
            self._print_news()

    def _panel(self) -> Panel:
        status, decision = self._controller.status(), self._controller.decision
        pairs: list[tuple[str, RenderableType]] = [
            ("mode", Text(self._mode_words(), style="bold")),
            ("market", self._market_words(status.at)),
            ("setpoint", f"{status.setpoint_kw:,.1f} kW of at most {status.cap_kw:,.1f} kW"),
            ("commanded", self._commanded_words()),
            ("measured", f"{status.measured_kw:,.1f} kW, self-reported"),
            ("reduction", f"{status.claimed_kw:,.1f} kW verified by watts, self-reported"),
            (
                "rigs",
                f"{status.n_running} run, {status.n_stopped} stand, {status.n_unknown} unknown, "
                f"{status.n_pending} with a command under way",
            ),
        ]
        if decision is not None:
            words = f"{decision.at:%H:%M:%S} UTC by {decision.authority}: {decision.reason}"
            pairs.append(("decision", words))
            pairs += self._by_group(decision)
        if self._controller.advice:
            pairs.append(("advice", self._controller.advice))
        if failure := self._controller.journal_failure:
            pairs.append(("journal", Text(f"nothing is started: {failure}", style="bold red")))
        pairs.append(("alarms", self._alarms()))
        title = f"{status.at:%Y-%m-%d %H:%M:%S} UTC"
        return Panel(
            lines(pairs),
            title=title,
            title_align="left",
            subtitle="Ctrl-C ends in order",
            width=max(self._console.width - ROOM_FOR_ECHO, 40),
        )

    def _mode_words(self) -> str:
        arming = self._controller.arming.words
        return MODE_WORDS[self._controller.mode] + (f" ({arming})" if arming else "")

    def _by_group(self, decision: Decision) -> list[tuple[str, RenderableType]]:
        """Return each group's setpoint and who had the last word on it."""
        names = [group.name for group in self._controller.site.groups]
        return [
            (name, f"{kw:,.1f} kW by {authority}")
            for name, kw, authority in zip(
                names, decision.setpoint_kw, decision.decided_by, strict=True
            )
        ]

    def _market_words(self, at: datetime) -> Text:
        scenario = self._market.scenario
        row = market_row_at(scenario, at)
        words = Text(f"{self._market.market_time(at):%Y-%m-%d %H:%M %Z} ")
        if self._market.is_replay:
            words.append("REPLAY", style="bold reverse").append(" ")
        if row is None:
            return words.append("no price is known", style="bold red")
        currency, adders = scenario.site.currency, scenario.site.market.adders_per_kwh
        return words.append(f"{row.price_per_kwh:.4g} {currency}/kWh, with adders ").append(
            f"{row.price_per_kwh + adders:.4g}"
        )

    def _commanded_words(self) -> str:
        if self._controller.mode is not Mode.LIVE:
            return f"nothing: {self._controller.arming.words or self._controller.mode}"
        now = self._controller.status().at
        views = [(rig, rig.view(now)) for rig in self._controller.rigs.values()]
        running = [rig.level_kw[view.level] for rig, view in views if view.level is not None]
        return f"{sum(running):,.1f} kW: {len(running)} of {len(views)} rigs are to run"

    def _alarms(self) -> Text:
        rows = self._journal.rows(
            "SELECT at, rig_id, kind, text FROM alarms WHERE run_id = ? ORDER BY id DESC",
            self._controller.run_id,
        )
        if not rows:
            return Text("none", style="green")
        words = [_alarm_words(row) for row in rows[:N_ALARMS]]
        if len(rows) > N_ALARMS:
            words.append(f"and {len(rows) - N_ALARMS} before")
        return Text("\n".join(words), style="yellow")

    def _print_news(self) -> None:
        decision, status = self._controller.decision, self._controller.status()
        rows = self._journal.rows(
            "SELECT id, at, rig_id, kind, text FROM alarms WHERE run_id = ? AND id > ? ORDER BY id",
            self._controller.run_id,
            self._alarm_id,
        )
        for row in rows:
            self._alarm_id = row["id"]
            self._say(f"ALARM {_alarm_words(row)}")
        if decision is not None and decision.at != self._shown_at:
            self._shown_at = decision.at
            self._say(
                f"{decision.at:%H:%M:%S} setpoint {status.setpoint_kw:,.1f} kW, measured "
                f"{status.measured_kw:,.1f} kW, by {decision.authority}: {decision.reason}"
            )

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def summary(controller: Controller, journal: Journal, *, began_at: datetime) -> Panel:
    """Return what came of the run."""
    status, run_id = controller.status(), controller.run_id

    def count(table: str, column: str) -> Counter[str]:
        sql = f"SELECT {column} AS kind, count(*) AS n FROM {table} WHERE run_id = ? GROUP BY kind"
        return Counter({str(row["kind"]): int(row["n"]) for row in journal.rows(sql, run_id)})

    authorities = count("decisions", "authority")
    verdicts = count("verifications", "verdict")
    alarms = count("alarms", "kind")
    n_commands = sum(count("intents", "command").values())
    claimed = journal.rows("SELECT sum(reduced_kwh) FROM claims WHERE run_id = ?", run_id)[0][0]
    seconds = int((status.at - began_at).total_seconds())
    pairs: list[tuple[str, RenderableType]] = [
        ("ran for", f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} h"),
        ("decisions", f"{authorities.total()} ({_counts(authorities)})"),
        ("commands", f"{n_commands} ({_counts(verdicts) if verdicts else 'none judged'})"),
        ("claimed", f"{claimed or 0.0:,.2f} kWh not drawn, self-reported"),
        ("alarms", f"{alarms.total()} ({_counts(alarms)})"),
        ("rigs", _parting_words(controller)),
        ("journal", f"{journal.path}, run {run_id}"),
    ]
    return Panel(lines(pairs), title="summary", title_align="left")


def _parting_words(controller: Controller) -> str:
    if controller.arming.permitted is not Mode.LIVE:
        return "none was commanded"
    status = controller.status()
    words = (
        f"left as they are: {status.n_running} run, {status.n_stopped} stand, "
        f"{status.n_unknown} unknown; nothing starts or stops them until the next run"
    )
    if status.n_pending:
        words += f"; {status.n_pending} had a command under way that watts have not confirmed"
    return words


def _alarm_words(row: sqlite3.Row) -> str:
    at = datetime.fromisoformat(row["at"])
    return f"{at:%H:%M:%S} {row['kind']}, {row['rig_id'] or 'site'}: {row['text']}"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.most_common()) or "none"
