"""A rig list is read whole or refused with file, row, column and value."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridhash.config import load_site
from gridhash.serving.clock import RealClock
from gridhash.serving.rig_list import (
    ListedRig,
    RigListError,
    check_may_write,
    drivers_of,
    read_rig_list,
    site_of_rigs,
    write_rig_list,
)

SITE = load_site("europe_sample")
HEADER = "rig_id,group,address,port"
GROUPS = [group.name for group in SITE.groups]


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "rigs.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_rows_become_rigs_with_their_line_and_the_usual_port(tmp_path: Path) -> None:
    path = write(
        tmp_path, "# racks", "r1, loop_a ,10.0.0.1,", "", "r2,loop_b,127.0.0.9,4029", header=HEADER
    )

    assert read_rig_list(path) == [
        ListedRig(rig_id="r1", group="loop_a", address="10.0.0.1", row=3),
        ListedRig(rig_id="r2", group="loop_b", address="127.0.0.9", port=4029, row=5),
    ]


def test_columns_may_stand_in_any_order_behind_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "rigs.csv"
    path.write_bytes(b"\xef\xbb\xbfaddress,rig_id,group\r\n192.168.1.2,r1,loop_a\r\n")

    assert read_rig_list(path) == [
        ListedRig(rig_id="r1", group="loop_a", address="192.168.1.2", row=2)
    ]


@settings(max_examples=25)
@given(
    rigs=st.lists(
        st.builds(
            ListedRig,
            rig_id=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True),
            group=st.sampled_from(GROUPS),
            address=st.ip_addresses(v=4, network="172.16.0.0/12").map(str),
            port=st.integers(1, 65535),
        ),
        min_size=1,
        max_size=6,
        unique_by=(lambda rig: rig.rig_id, lambda rig: (rig.address, rig.port)),
    )
)
def test_what_was_written_is_read_back(
    rigs: list[ListedRig], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("list") / "rigs.csv"

    write_rig_list(path, rigs)

    read = read_rig_list(path)
    assert [(r.rig_id, r.group, r.address, r.port) for r in read] == [
        (r.rig_id, r.group, r.address, r.port) for r in rigs
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["r1,loop_a,8.8.8.8,"], "row 2, column address: 8.8.8.8 is neither loopback nor private"),
        (["r1,loop_a,0.0.0.0,"], "row 2, column address: 0.0.0.0 is neither"),
        (["r1,loop_a,169.254.1.1,"], "row 2, column address: 169.254.1.1 is neither"),
        (["r1,loop_a,172.32.0.1,"], "row 2, column address: 172.32.0.1 is neither"),
        (["r1,loop_a,rack-7,"], "row 2, column address: 'rack-7' is no IPv4 address; write it"),
        (["r1,loop_a,10.0.0.300,"], "row 2, column address: '10.0.0.300' is no IPv4 address"),
        (["r1,loop_a,,"], "row 2, column address: the value is missing"),
        ([",loop_a,10.0.0.1,"], "row 2, column rig_id: the value is missing"),
        (["r1,,10.0.0.1,"], "row 2, column group: the value is missing"),
        (["r1,loop_a,10.0.0.1,0"], "row 2, column port: '0' is no port"),
        (["r1,loop_a,10.0.0.1,65536"], "row 2, column port: '65536' is no port"),
        (["r1,loop_a,10.0.0.1,x"], "row 2, column port: 'x' is no port, 1 … 65535"),
        (["r1,loop_a"], "row 2: 2 values under 4 columns"),
        (["r\x07,loop_a,10.0.0.1,"], "row 2, column rig_id: 'r.x07' is no name"),
        (
            ["r1,loop_a,10.0.0.1,", "r1,loop_a,10.0.0.2,"],
            "row 3, column rig_id: 'r1' is already in row 2",
        ),
        (
            ["r1,loop_a,10.0.0.1,", "r2,loop_a,10.0.0.1,4028"],
            "row 3, column address: 10.0.0.1:4028 is already in row 2",
        ),
        ([], "lists no rig"),
    ],
)
def test_each_fault_names_row_column_and_value(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    path = write(tmp_path, *rows)

    with pytest.raises(RigListError, match=message) as caught:
        read_rig_list(path)

    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected the header rig_id,group,address"),
        (b"rig,group,address\n", "the column rig_id is missing; .*found 'rig,group,address'"),
        (b"rig_id,group,address,rack\n", "unknown column 'rack'"),
        (b"rig_id,group,group,address\n", "the column group occurs twice"),
        ("リグ".encode("cp932"), "not UTF-8 text"),
        (b'rig_id,group,address\n"r1,loop_a,10.0.0.1\n', "no CSV"),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rigs.csv"
    path.write_bytes(content)

    with pytest.raises(RigListError, match=message):
        read_rig_list(path)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RigListError, match=r"rigs\.csv: the rig list cannot be read: No such file"):
        read_rig_list(tmp_path / "rigs.csv")


def test_the_site_has_as_many_rigs_as_are_listed(tmp_path: Path) -> None:
    rows = [f"r{i},{GROUPS[min(i, 3)]},10.0.0.{i + 1}," for i in range(6)]
    path = write(tmp_path, *rows)
    rigs = read_rig_list(path)

    site = site_of_rigs(SITE, rigs, path)

    assert [group.n_rigs for group in site.groups] == [1, 1, 1, 3]
    assert site.max_rig_kw / site.limits.contract_power_kw == pytest.approx(
        SITE.max_rig_kw / SITE.limits.contract_power_kw
    )
    drivers = drivers_of(rigs, site, RealClock())
    assert {name: [d.rig_id for d in own] for name, own in drivers.items()} == {
        "loop_a": ["r0"],
        "loop_b": ["r1"],
        "loop_c": ["r2"],
        "loop_d": ["r3", "r4", "r5"],
    }


def test_a_row_of_another_group_and_a_group_without_rows_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "r1,loop_a,10.0.0.1,", "r2,hall_a,10.0.0.2,")
    with pytest.raises(RigListError, match=r"row 3, column group: .*has no group 'hall_a'; it has"):
        site_of_rigs(SITE, read_rig_list(path), path)

    path = write(tmp_path, "r1,loop_a,10.0.0.1,", "r2,loop_c,10.0.0.2,")
    with pytest.raises(RigListError, match="lists no rig of loop_b, loop_d"):
        site_of_rigs(SITE, read_rig_list(path), path)


def test_only_a_list_of_simulated_rigs_is_written_over(tmp_path: Path) -> None:
    rig = ListedRig(rig_id="r1", group="loop_a", address="127.0.0.1")
    ours = tmp_path / "ours.csv"
    write_rig_list(ours, [rig])
    write_rig_list(ours, [rig])
    theirs = write(tmp_path, "r1,loop_a,10.0.0.1,")
    before = theirs.read_bytes()

    with pytest.raises(RigListError, match="it is not overwritten"):
        write_rig_list(theirs, [rig])
    with pytest.raises(RigListError, match="there is no folder"):
        check_may_write(tmp_path / "no" / "rigs.csv")

    assert theirs.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours.csv", "rigs.csv"]
