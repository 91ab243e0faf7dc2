"""Passwords come from the environment or a private file, and no word about them shows one."""

from pathlib import Path

import pytest

from gridhash.config import load_site
from gridhash.serving.clock import RealClock
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import (
    DEFAULTS,
    Credentials,
    CredentialsError,
    is_default,
    read_credentials,
)
from gridhash.serving.rig_list import RigListError, drivers_of, read_rig_list

SECRET = "canary-Zx81"
HEADER = "rig_id,group,address,port,firmware,credentials,allow_default_credentials,mac"


def private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        (SECRET, "", SECRET),
        (f"{SECRET}\n", "", SECRET),
        (f"operator:{SECRET}\r\n", "operator", SECRET),
        ("operator:a:b", "operator", "a:b"),
        (":a:b", "", "a:b"),
    ],
)
def test_a_file_holds_a_user_and_a_password_or_a_password_alone(
    tmp_path: Path, text: str, username: str, password: str
) -> None:
    private(tmp_path / "rig", text)

    own = read_credentials("file:rig", folder=tmp_path)

    assert (own.username, own.secret()) == (username, password)
    assert own.for_account("root").username == (username or "root")
    assert password not in repr(own) + str(own)


def test_a_variable_of_the_environment_does_as_well(tmp_path: Path) -> None:
    own = read_credentials("env:RIG", folder=tmp_path, environ={"RIG": f"u:{SECRET}"})

    assert (own.username, own.secret()) == ("u", SECRET)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("env:ABSENT", "no variable ABSENT"),
        ("file:absent", "cannot be read"),
        ("file:open", "may be read by others: chmod 600"),
        ("file:empty", "must hold one line"),
        ("file:two", "must hold one line"),
        ("file:bytes", "not UTF-8"),
        (SECRET, "never stands in the list"),
        (f"password:{SECRET}", "never stands in the list"),
        ("env:", "never stands in the list"),
    ],
)
def test_what_cannot_be_had_is_said_without_showing_it(
    tmp_path: Path, reference: str, says: str
) -> None:
    private(tmp_path / "open", SECRET).chmod(0o644)
    private(tmp_path / "empty", "\n")
    private(tmp_path / "two", f"{SECRET}\n{SECRET}\n")
    (tmp_path / "bytes").write_bytes(b"\xff" + SECRET.encode())
    (tmp_path / "bytes").chmod(0o600)

    with pytest.raises(CredentialsError, match=says) as caught:
        read_credentials(reference, folder=tmp_path, environ={})

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_passwords_that_a_firmware_is_sold_with_are_known_for_all_that_ask_for_one() -> None:
    assert set(FirmwareName) - set(DEFAULTS) == {FirmwareName.AVALON, FirmwareName.LUXOS}
    for firmware, default in DEFAULTS.items():
        assert is_default(Credentials("other", default.password), firmware)
        assert not is_default(
            Credentials("", Credentials("", default.password).password), FirmwareName.AVALON
        )


def test_a_rig_list_names_firmware_credentials_and_mac_of_each_rig(tmp_path: Path) -> None:
    private(tmp_path / "secret", f"operator:{SECRET}")
    path = tmp_path / "rigs.csv"
    path.write_text(
        f"{HEADER}\n"
        "r1,loop_a,10.0.0.1,,whatsminer_v3,file:secret,,e0e1a93e2c7d\n"
        "r2,loop_b,10.0.0.2,8080,vnish,,yes,\n"
        "r3,loop_b,10.0.0.3,,auto,,no,\n",
        encoding="utf-8",
    )

    one, two, three = rigs = read_rig_list(path)

    assert (one.firmware, one.mac) == (FirmwareName.WHATSMINER_V3, "E0:E1:A9:3E:2C:7D")
    assert one.credentials is not None
    assert (one.credentials.username, one.credentials.secret()) == ("operator", SECRET)
    assert SECRET not in repr(rigs)
    assert (two.port, two.firmware, two.allow_default_credentials) == (8080, "vnish", True)
    assert (three.port, three.firmware, three.allow_default_credentials) == (None, None, False)
    drivers = drivers_of(rigs, load_site("europe_sample"), RealClock())
    assert [driver.rig_id for own in drivers.values() for driver in own] == ["r1", "r2", "r3"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (f"r1,loop_a,10.0.0.1,,vnish,{SECRET},,", "column credentials: write env:NAME or file:"),
        ("r1,loop_a,10.0.0.1,,vnish,env:GRIDHASH_NO_SUCH,,", "no variable GRIDHASH_NO_SUCH"),
        ("r1,loop_a,10.0.0.1,,bmminer,,,", "no driver is called 'bmminer'; there are auto, avalon"),
        ("r1,loop_a,10.0.0.1,,vnish,,maybe,", "column allow_default_credentials: write yes or no"),
        ("r1,loop_a,10.0.0.1,,vnish,,,e0e1", "column mac: 'e0e1' is no MAC"),
    ],
)
def test_a_wrong_row_is_refused_without_showing_a_password(
    tmp_path: Path, row: str, says: str
) -> None:
    path = tmp_path / "rigs.csv"
    path.write_text(f"{HEADER}\n{row}\n", encoding="utf-8")

    with pytest.raises(RigListError, match=says) as caught:
        read_rig_list(path)

    assert SECRET not in str(caught.value)
