"""The command line: help is true, bad input is one error, nothing is written half."""

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gridhash import __version__
from gridhash.agents.bundle import write_bundle
from gridhash.agents.bundle_files import WEIGHTS
from gridhash.agents.bundle_manifest import Provenance, RuleSpec
from gridhash.agents.numpy_policy import MlpPolicy, mlp_shapes
from gridhash.agents.signing import SigningKey, generate_key
from gridhash.cli import main
from gridhash.config import SiteConfig, load_site, preset_names
from gridhash.envs.action import ActionKind
from gridhash.envs.observation import observation_table
from gridhash.serving.journal import Journal
from gridhash.serving.lease_record import lease_violations

SITE = load_site("europe_sample")
COMMANDS = ("sites", "train", "tune", "evaluate", "compare", "simulate-rigs", "serve", "demo")
DEAR = "2018-10-24T18:00"


@dataclass(frozen=True)
class Run:
    """What a command left on its two channels."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error message; fails if there is not exactly one."""
        assert self.code == 2, (self.code, self.err)
        assert "Traceback" not in self.err
        assert self.err.startswith("error "), self.err
        assert self.err.count("error ") == 1, self.err
        return self.err.removeprefix("error ").strip()


RunCli = Callable[..., Run]


@pytest.fixture
def run_cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> RunCli:
    """Return a runner of the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["gridhash", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return run


# Prices, as the publishers write them.


def smard_rows(first: date, n_days: int) -> list[str]:
    """Return hourly rows of wall time without a clock change, around 51 EUR/MWh."""
    rows = []
    for k in range(24 * n_days):
        day, hour = first + timedelta(days=k // 24), k % 24
        price = 51.0 + 25.0 * math.sin(2 * math.pi * hour / 24) + 10.0 * math.sin(k * k)
        clock = f"{hour % 12 or 12}:00 {'PM' if hour >= 12 else 'AM'}"
        rows.append(f"{day:%b} {day.day}, {day.year};{clock};{price:.2f}")
    return rows


def write_smard(path: Path, rows: Sequence[str], *, encoding: str = "utf-8-sig") -> Path:
    text = "\n".join(["Date;Time of day;Netherlands[€/MWh]", *rows]) + "\n"
    path.write_bytes(text.encode(encoding))
    return path


def with_price(row: str, price: str) -> str:
    return ";".join([*row.split(";")[:2], price])


def times_1000(rows: list[str]) -> list[str]:
    return [with_price(row, f"{1000 * float(row.split(';')[2]):.2f}") for row in rows]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda rows: [*rows[:30], *rows[31:]],
            r"1 interval\(s\) are missing: .*06:00:00 is",
        ),
        (lambda rows: [*rows[:31], rows[30], *rows[31:]], r"duplicate"),
        (lambda rows: rows[::-1], r"line 3 .*run from new to old; sort by time"),
        (lambda rows: [*rows[:30], rows[31], rows[30], *rows[32:]], r"06:00:00 is due"),
        (lambda rows: [*rows[:30], with_price(rows[30], "NaN"), *rows[31:]], r"'NaN'|nan"),
        (
            lambda rows: [*rows[:30], with_price(rows[30], "-"), *rows[31:]],
            r"there is no price at 2018-06-05T04:00",
        ),
        (times_1000, r"1000 times what is usual, so the unit looks wrong"),
    ],
    ids=[
        "missing slot",
        "duplicate slot",
        "newest first",
        "swapped",
        "NaN",
        "dash",
        "x1000",
    ],
)
def test_a_wrong_price_file_is_one_error_with_file_and_row(
    run_cli: RunCli, tmp_path: Path, spoil: Callable[[list[str]], list[str]], message: str
) -> None:
    prices = write_smard(tmp_path / "prices.csv", spoil(smard_rows(date(2018, 6, 4), 25)))

    error = run_cli("evaluate", "--prices", prices, "--out", tmp_path / "out").error

    assert str(prices) in error or prices.name in error
    assert re.search(message, error), error
    assert os.listdir(tmp_path) == ["prices.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        ("Date;Time of day;Netherlands[€/MWh]\n".encode("utf-16"), "UTF-16|no price|holds no|rows"),
        (b"\xff\x00\x81\xfe" * 40, "not text: byte 1 is zero"),
        (b"a,b\n1,2\n", "format is not recognised"),
    ],
    ids=["empty", "UTF-16", "bytes", "other format"],
)
def test_a_file_that_is_no_price_file_is_one_error(
    run_cli: RunCli, tmp_path: Path, content: bytes, message: str
) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_bytes(content)

    error = run_cli("train", "--prices", prices, "--out", tmp_path / "out").error

    assert prices.name in error
    assert re.search(message, error), error
    assert os.listdir(tmp_path) == ["prices.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--site", "europe_sampel"], "no preset and no file is called europe_sampel; presets"),
        (["--prices", "nl_2019"], "no price file 'nl_2019'"),
        (["--start", "soon"], "'soon' is no date"),
        (["--start-cost", "-3"], "start_cost_per_fleet_start: .*greater than or equal to 0"),
        (["--site", "texas_air", "--prices", "nl_2018"], "in EUR, the site texas_air reckons in"),
        (["--site", "texas_air"], "no prices in USD ship with gridhash"),
        (["--prices", "nl_2018", "--start", "2018-03-01", "--end", "2018-03-09"], "at least 7"),
        (["--prices", "[/bold]x[red]"], r"no price file '\[/bold\]x\[red\]'"),
    ],
)
def test_wrong_values_are_one_error(
    run_cli: RunCli, tmp_path: Path, arguments: list[str], message: str
) -> None:
    error = run_cli("evaluate", *arguments).error

    assert re.search(message, error), error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", ["train", "evaluate", "demo"])
def test_a_scenario_is_no_site(run_cli: RunCli, tmp_path: Path, command: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "Mine"\nbased_on = "JapanPilot"\n', "utf-8")

    for scenario in ("JapanPilot", path):
        error = run_cli(command, "--site", scenario).error
        assert f"--site {scenario}: that is a scenario, and --site takes a preset (europe" in error
        assert "`gridhash evaluate` take a scenario without --site" in error
    assert os.listdir(tmp_path) == ["mine.toml"]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_scenario_stands_alone(run_cli: RunCli, tmp_path: Path, command: str) -> None:
    beside = run_cli(command, "JapanPilot", "--start-cost", "0", "--work-levels").error
    assert "the scenario JapanPilot brings its own site and prices: leave out" in beside
    assert "--start-cost --work-levels" in beside
    assert "fixes its spans" in run_cli(command, "JapanPilot", "--test-from", "2025-05-01").error
    assert "JapanPilott; scenarios: BasePoint" in run_cli(command, "JapanPilott").error
    assert os.listdir(tmp_path) == []


def test_an_unknown_key_of_a_site_file_or_of_settings_is_one_error(
    run_cli: RunCli, tmp_path: Path
) -> None:
    preset = Path(__file__).parents[1] / "gridhash/presets/europe_sample.toml"
    site, settings = tmp_path / "site.toml", tmp_path / "settings.toml"
    site.write_text("contract_powr_kw = 1.0\n" + preset.read_text("utf-8"), "utf-8")
    settings.write_text("learning_rat = 1.0\n", "utf-8")

    error = run_cli("train", "--site", site, "--out", "out").error
    assert f"{site}: unknown key contract_powr_kw: remove it or correct its spelling" in error
    error = run_cli("train", "--settings", settings, "--out", "out").error
    assert f"{settings}: unknown key learning_rat" in error
    assert sorted(os.listdir(tmp_path)) == ["settings.toml", "site.toml"]


# Bundles.


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return generate_key(tmp_path_factory.mktemp("keys") / "key.pem")


@pytest.fixture
def public_key(tmp_path: Path, key: SigningKey) -> Path:
    path = tmp_path / "key.pub"
    path.write_text(key.public.hex + "\n", encoding="utf-8")
    return path


def write_rule(folder: Path, key: SigningKey, site: SiteConfig = SITE) -> Path:
    return write_bundle(
        folder,
        RuleSpec(rule="level_rule"),
        name="level",
        site=site,
        key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(),
    )


def write_network(folder: Path, key: SigningKey) -> Path:
    shapes = mlp_shapes(len(observation_table(SITE)), (8,), len(SITE.groups))
    weights = {name: np.ones(shape, dtype=np.float32) for name, shape in shapes.items()}
    return write_bundle(
        folder,
        MlpPolicy(weights, name="ones", action_kind=ActionKind.SHADOW_PRICE),
        name="ones",
        site=SITE,
        key=key,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        provenance=Provenance(),
    )


def write_rigs(path: Path, addresses: Sequence[str]) -> Path:
    rows = [
        f"{group.name}-001,{group.name},{address}"
        for group, address in zip(SITE.groups, addresses, strict=True)
    ]
    path.write_text("\n".join(["rig_id,group,address", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """Return a rig list of addresses at which nothing listens."""
    return write_rigs(tmp_path / "rigs.csv", [f"127.13.57.{k}" for k in range(1, 5)])


@pytest.mark.parametrize("command", ["evaluate", "serve"])
def test_a_bundle_for_another_observation_table_is_one_error(
    run_cli: RunCli, tmp_path: Path, key: SigningKey, public_key: Path, nobody: Path, command: str
) -> None:
    market = SITE.market.model_copy(update={"horizon_h": 12})
    bundle = write_rule(tmp_path, key, SITE.model_copy(update={"market": market}))
    before = sorted(os.listdir(tmp_path))
    more = ["--rigs", nobody, "--shadow", "--replay-from", DEAR] if command == "serve" else []

    error = run_cli(command, "--bundle", bundle, "--key", public_key, *more).error

    assert "does not fit site europe_sample" in error
    assert "the site has 36 price columns, the bundle 12" in error
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("manifest.json", "signature .* does not hold|was changed after signing"),
        ("manifest.sig", "damaged"),
        (WEIGHTS, "is not the file that was signed"),
    ],
)
def test_a_truncated_bundle_is_one_error(
    run_cli: RunCli, tmp_path: Path, key: SigningKey, public_key: Path, file: str, message: str
) -> None:
    bundle = write_network(tmp_path, key)
    content = (bundle / file).read_bytes()
    (bundle / file).write_bytes(content[: len(content) // 2])
    before = sorted(os.listdir(tmp_path))

    error = run_cli("evaluate", "--bundle", bundle, "--key", public_key).error

    assert re.search(message, error), error
    assert str(bundle) in error
    assert sorted(os.listdir(tmp_path)) == before


def test_a_bundle_without_its_key_is_one_error(
    run_cli: RunCli, tmp_path: Path, key: SigningKey
) -> None:
    bundle = write_rule(tmp_path, key)

    assert "--bundle needs --key" in run_cli("evaluate", "--bundle", bundle).error
    error = run_cli("evaluate", "--bundle", bundle, "--key", tmp_path / "no.pub").error
    assert "neither a readable file nor" in error


# Rigs.


def test_no_rig_answering_is_one_error_and_leaves_no_journal(
    run_cli: RunCli, tmp_path: Path, key: SigningKey, public_key: Path, nobody: Path
) -> None:
    bundle = write_rule(tmp_path, key)
    before = sorted(os.listdir(tmp_path))

    run = run_cli(
        *("serve", "--bundle", bundle, "--key", public_key, "--rigs", nobody),
        *("--live", "--accept-unproven", "--replay-from", DEAR),
        *("--journal", "new/journal.sqlite"),
    )

    assert "none of the 4 rigs answers (nothing answers at loop_a-001 (127.13.57.1" in run.error
    assert "unreachable" in run.out
    assert sorted(os.listdir(tmp_path)) == before


def test_an_unproven_policy_commands_no_rig_unless_told_so(
    run_cli: RunCli, tmp_path: Path, key: SigningKey, public_key: Path, nobody: Path
) -> None:
    bundle = write_rule(tmp_path, key)
    serve = ("serve", "--bundle", bundle, "--key", public_key, "--rigs", nobody)

    error = run_cli(*serve, "--live", "--replay-from", DEAR).error

    assert "level.bundle is not deployable: it was never judged beside the rules" in error
    assert "--accept-unproven" in error
    assert "none of the 4 rigs answers" in run_cli(*serve, "--shadow", "--replay-from", DEAR).error


def test_prices_of_another_year_are_one_error(
    run_cli: RunCli, tmp_path: Path, key: SigningKey, public_key: Path, nobody: Path
) -> None:
    bundle = write_rule(tmp_path, key)

    run = run_cli("serve", "--bundle", bundle, "--key", public_key, "--rigs", nobody, "--shadow")

    assert "--replay-from 2018-01-02T00:00+0100" in run.error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf"])
def test_no_time_to_run_for_is_one_error(run_cli: RunCli, hours: str) -> None:
    run = run_cli(
        *("serve", "--bundle", "b", "--key", "k", "--rigs", "r", "--shadow", "--hours", hours)
    )

    assert f"--hours {hours} is no time to run for" in run.error


def test_a_taken_port_is_one_error(run_cli: RunCli, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.13.58.2", 0))
        other.listen()
        port = other.getsockname()[1]

        run = run_cli(
            *("simulate-rigs", "--count", 4, "--address", "127.13.58.1", "--port", port),
            *("--rig-list", "rigs.csv"),
        )

    assert f"127.13.58.2:{port} is taken by another program" in run.error
    assert os.listdir(tmp_path) == []


# Usage.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "No such command"),
        (["serve"], "Missing option"),
        (["evaluate", "--nosuch"], "No such option"),
        (["simulate-rigs", "--count", "0"], "--count"),
        (["serve", "--bundle", "b", "--key", "k", "--rigs", "r"], "say one of --shadow"),
    ],
)
def test_wrong_usage_says_what_is_wrong(
    run_cli: RunCli, arguments: list[str], message: str
) -> None:
    run = run_cli(*arguments)

    assert run.code == 2
    assert message in run.err
    assert run.out == ""
    assert "Traceback" not in run.err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns_and_cuts_nothing(run_cli: RunCli, command: str) -> None:
    run = run_cli(*([command] if command else []), "--help")

    assert run.code == 0
    assert run.err == ""
    assert max(len(line) for line in run.out.splitlines()) <= 80
    assert "…" not in run.out
    for name in COMMANDS if not command else ():
        assert name in run.out


def test_every_option_has_a_help_text(run_cli: RunCli) -> None:
    for command in COMMANDS:
        for line in run_cli(command, "--help").out.splitlines():
            if re.match(r"│ [ *]*--", line):
                assert re.search(r"<.*> .*[A-Za-z]{2}", line), f"{command}: {line}"


def test_sites_lists_every_preset(run_cli: RunCli) -> None:
    run = run_cli("sites")

    assert run.code == 0
    for name in preset_names():
        assert name in run.out
        assert f"{load_site(name).n_rigs} rigs" in run.out


def test_the_version_is_told(run_cli: RunCli) -> None:
    assert run_cli("--version").out == f"gridhash {__version__}\n"


# Whole commands.


def test_evaluate_prints_json_and_nothing_else(run_cli: RunCli, tmp_path: Path) -> None:
    prices = write_smard(tmp_path / "prices.csv", smard_rows(date(2018, 6, 4), 39))

    run = run_cli(
        *("evaluate", "--prices", prices, "--out", "out", "--json"),
        *("--validate-from", "2018-06-21", "--test-from", "2018-07-06"),
    )

    assert run.code == 0, run.err
    printed = json.loads(run.out)
    assert printed == json.loads((tmp_path / "out/results.json").read_text("utf-8"))
    names = [policy["name"] for policy in printed["scenarios"][0]["policies"]]
    assert {"always_on", "level_rule", "day_ahead_dp"} <= set(names)
    steps = [f"steps-{name}.parquet" for name in names]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["report.html", "results.json", *steps])
    frame = pd.read_parquet(tmp_path / "out" / "steps-level_rule.parquet")
    profit = printed["scenarios"][0]["policies"][names.index("level_rule")]["metrics"]["profit"]
    assert frame["profit"].sum() == pytest.approx(profit)


def test_two_runs_are_compared_and_what_was_set_otherwise_is_told(
    run_cli: RunCli, tmp_path: Path
) -> None:
    prices = write_smard(tmp_path / "prices.csv", smard_rows(date(2018, 6, 4), 39))
    spans = ("--validate-from", "2018-06-21", "--test-from", "2018-07-06", "--no-steps")
    for out, more in (
        ("a", ["--policies", "always_off"]),
        ("b", ["--policies", "always_off", "--hashprice", "35", "--hashprice-date", "2026-09-01"]),
    ):
        run = run_cli("evaluate", "--prices", prices, "--out", out, *spans, *more)
        assert run.code == 0, run.err

    run = run_cli("compare", "a", "b")
    as_json = json.loads(run_cli("compare", "a", "b", "--json").out)

    assert (run.code, run.err) == (0, "")
    assert "hashprice: 27.4521 USD/(PH/s)/day → 35 USD/(PH/s)/day" in run.out
    names = [change["name"] for change in as_json["changes"]]
    assert names == ["always_on", "level_rule", "day_ahead_dp", "always_off"]
    always_on, *_, off = as_json["changes"]
    assert always_on["change"]["low"] > 0.0
    assert off["change"]["estimate"] == pytest.approx(0.0, abs=1e-6)
    assert "there is no such file" in run_cli("compare", "a", "nowhere").error


def test_a_baseline_that_a_site_has_not_is_refused_by_name(run_cli: RunCli, tmp_path: Path) -> None:
    prices = write_smard(tmp_path / "prices.csv", smard_rows(date(2018, 6, 4), 39))

    error = run_cli(
        *("evaluate", "--prices", prices, "--out", "out", "--policies", "nosuch"),
        *("--validate-from", "2018-06-21", "--test-from", "2018-07-06"),
    ).error

    assert "has no baseline 'nosuch'; there are always_off, always_on" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hashprice-date", "2026-09-01"], "give both"),
        (["--ablate", "forecast"], "name one with --bundle"),
        (["--zero-shot"], "--zero-shot maps observations for learned policies"),
        (["--hashprice", "-3"], "must be above zero"),
        (["a.bundle", "b.bundle"], "a.bundle is a bundle, no scenario: write --bundle before each"),
    ],
)
def test_options_of_evaluate_that_cannot_be_are_refused(
    options: list[str], message: str, run_cli: RunCli
) -> None:
    assert message in run_cli("evaluate", *options).error


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a starter of command lines in processes of their own; none outlives the test."""
    processes = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "gridhash", *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"COLUMNS": "120", "PYTHONUTF8": "1", "TERM": "dumb"},
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], what: str) -> None:
    give_up_at = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up_at, f"{what} did not come about"
        time.sleep(0.1)


def n_verified(journal: Path) -> int:
    return n_rows(journal, "verifications WHERE verdict = 'verified'")


def n_rows(journal: Path, what: str) -> int:
    if not journal.exists():
        return 0
    with Journal(journal, read_only=True) as opened:
        return int(opened.rows(f"SELECT count(*) FROM {what}")[0][0])


def test_a_killed_controller_is_followed_by_one_that_goes_on_where_it_was(
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    key: SigningKey,
    public_key: Path,
) -> None:
    address = f"127.15.{os.getpid() % 250}.1"
    bundle, rig_list = write_rule(tmp_path, key), tmp_path / "rigs.csv"
    journal = tmp_path / "runs/journal.sqlite"
    rigs = start("simulate-rigs", "--count", 4, "--address", address, "--rig-list", rig_list)
    wait_for(rig_list.exists, rigs, "the rig list")
    options = (
        *("serve", "--live", "--bundle", bundle, "--key", public_key, "--rigs", rig_list),
        *("--accept-unproven", "--replay-from", DEAR, "--journal", journal),
    )
    first = start(*options, "--armed-by", "Aoki")
    wait_for(lambda: n_verified(journal) == 4, first, "the verification of four stops")

    rival = start(*options)
    _, refusal = rival.communicate(timeout=60)
    first.kill()
    first.wait(30)
    again = start(*options)
    wait_for(lambda: n_rows(journal, "supervisions WHERE run_id = 2") >= 2, again, "two ticks")
    again.send_signal(signal.SIGTERM)
    out, err = again.communicate(timeout=30)

    assert rival.returncode == 2
    assert "commands this site (lease 1" in refusal
    assert (again.returncode, err) == (0, "")
    assert "LIVE" in out
    assert n_rows(journal, "intents") == 4
    assert n_rows(journal, "alarms WHERE kind = 'armed'") == 1
    assert n_rows(journal, "leases WHERE token = 2") == 2
    with Journal(journal, read_only=True) as opened:
        assert lease_violations(opened) == []


def test_serve_drives_simulated_rigs_until_ctrl_c(
    start: Callable[..., subprocess.Popen[str]],
    run_cli: RunCli,
    tmp_path: Path,
    key: SigningKey,
    public_key: Path,
) -> None:
    address = f"127.14.{os.getpid() % 250}.1"
    bundle, rig_list = write_rule(tmp_path, key), tmp_path / "rigs.csv"
    journal = tmp_path / "runs/journal.sqlite"
    rigs = start("simulate-rigs", "--count", 4, "--address", address, "--rig-list", rig_list)
    wait_for(rig_list.exists, rigs, "the rig list")

    serve = start(
        *("serve", "--live", "--bundle", bundle, "--key", public_key, "--rigs", rig_list),
        *("--accept-unproven", "--replay-from", DEAR, "--journal", journal),
        *("--armed-by", "Aoki"),
    )
    wait_for(lambda: n_verified(journal) == 4, serve, "the verification of four stops")
    serve.send_signal(signal.SIGINT)
    out, err = serve.communicate(timeout=30)
    rigs.send_signal(signal.SIGINT)
    rigs_out, rigs_err = rigs.communicate(timeout=30)

    assert (serve.returncode, rigs.returncode) == (130, 130)
    assert (err, rigs_err) == ("", "")
    assert "left as they are: 0 run, 4 stand" in out
    assert "REPLAY" in out
    assert "0 of 4 rigs hash" in rigs_out
    assert "4 commands" in rigs_out
    assert "the 4 simulated rigs are gone" in rigs_out

    of_bundle = ("--bundle", bundle, "--key", public_key)
    again = run_cli("replay", "--journal", journal, *of_bundle)
    assert again.code == 0
    assert "decisions made again" in again.out
    assert " 0 different" in again.out
    by_nobody = run_cli("replay", "--journal", journal)
    assert by_nobody.code == 2
    assert "not by level rule" in by_nobody.err
    exported = run_cli("export-journal", "--journal", journal, "--out", tmp_path / "parquet")
    assert exported.code == 0
    assert len(pd.read_parquet(tmp_path / "parquet" / "intents.parquet")) == 4
