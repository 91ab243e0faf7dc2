"""Only a controller with the key is heard, and only for what it says now."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridhash.serving.guard_link import LinkError, read_link_key
from gridhash.serving.guard_listen import HeartbeatListener
from gridhash.serving.guard_notice import GuardNotice, GuardState, guard_orders
from gridhash.serving.heartbeat import Heartbeat, Reduction, parse_heartbeat, read_heartbeat
from gridhash.serving.heartbeat_push import GuardAddress, HeartbeatPusher, HeartbeatSender
from gridhash.serving.state_folder import StateFolder

AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
Make = Callable[..., Heartbeat]


def notice(state: GuardState = GuardState.WATCHING, **given: object) -> GuardNotice:
    fields = {"guard": "second", "state": state, "epoch": 0, "reason": "", "since": AT, "at": AT}
    return GuardNotice.model_validate({**fields, **given})


class Ears:
    """A listener and what it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, float]] = []
        self.now_s = 0.0
        self.notice = notice()
        self.listener = HeartbeatListener(
            "127.0.0.1",
            0,
            KEY,
            take=self._take,
            notice=lambda: self.notice,
            monotonic=lambda: self.now_s,
        )

    def _take(self, heartbeat: Heartbeat, asked_s: float) -> bool:
        self.taken.append((heartbeat.tick, asked_s))
        return True

    def pusher(self, key: bytes = KEY) -> HeartbeatPusher:
        return HeartbeatPusher(GuardAddress("127.0.0.1", self.listener.port), key, within_s=5.0)


def listening(body: Callable[[Ears], Awaitable[None]]) -> Ears:
    async def main() -> Ears:
        ears = Ears()
        async with ears.listener:
            await body(ears)
        return ears

    return asyncio.run(main())


def test_heartbeats_arrive_and_the_guards_word_comes_back(make_heartbeat: Make) -> None:
    async def body(ears: Ears) -> None:
        pusher = ears.pusher()
        assert await pusher.push(make_heartbeat(1))
        ears.notice = notice(GuardState.FAILSAFE, epoch=3, cap_kw=0.0)
        assert await pusher.push(make_heartbeat(2))
        assert pusher.notice == ears.notice
        assert pusher.failure == ""
        await pusher.close()

    assert [tick for tick, _ in listening(body).taken] == [1, 2]


def test_a_heartbeat_counts_from_when_the_guard_asked_for_it(make_heartbeat: Make) -> None:
    async def body(ears: Ears) -> None:
        pusher = ears.pusher()
        await pusher.push(make_heartbeat(1))
        ears.now_s = 50.0  # held back on the way, or truly made late: the guard cannot tell
        await pusher.push(make_heartbeat(2))
        await pusher.push(make_heartbeat(3))
        await pusher.close()

    assert listening(body).taken == [(1, 0.0), (2, 0.0), (3, 50.0)]


def test_another_key_is_not_heard(make_heartbeat: Make) -> None:
    async def body(ears: Ears) -> None:
        pusher = ears.pusher(OTHER_KEY)
        assert not await pusher.push(make_heartbeat(1))
        assert "not made with our heartbeat key" in pusher.failure

    assert listening(body).taken == []


async def record(ears: Ears, frames: list[bytes]) -> None:
    """Send raw bytes on one connection and wait until the guard hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ears.listener.port)
    for frame in frames:
        writer.write(frame)
    writer.write_eof()
    with suppress(ConnectionError):
        await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class Proxy:
    """Relays to the guard and records what the controller sent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def back() -> None:
            while data := await to_reader.read(4096):
                writer.write(data)

        task = asyncio.create_task(back())
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                self.sent += data
                to_writer.write(data)
        for own in (to_writer, writer):
            own.transport.abort()
        await asyncio.gather(task, return_exceptions=True)


def test_a_recorded_or_changed_heartbeat_is_refused(make_heartbeat: Make) -> None:
    async def body(ears: Ears) -> None:
        proxy = Proxy(ears.listener.port)
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pusher = HeartbeatPusher(GuardAddress("127.0.0.1", port), KEY, within_s=5.0)
        assert await pusher.push(make_heartbeat(1))
        await pusher.close()
        await asyncio.sleep(0.05)
        assert [tick for tick, _ in ears.taken] == [1]

        await record(ears, [proxy.sent])  # the same bytes on a new connection
        flipped = proxy.sent.replace(b'"tick":1', b'"tick":9')
        assert flipped != proxy.sent
        await record(ears, [flipped])
        await record(ears, [b"\xff\xff\xff\xff"])
        await record(ears, [b"\0\0\0\1x" + b"m" * 32])
        await record(ears, [b"GET / HTTP/1.1\r\n\r\n"])

        assert [tick for tick, _ in ears.taken] == [1]
        assert ears.listener.n_refused >= 4
        server.close()
        await server.wait_closed()
        fresh = ears.pusher()
        assert await fresh.push(make_heartbeat(2)), "the guard still listens"
        await fresh.close()

    listening(body)


def test_many_idle_connections_keep_no_controller_out(make_heartbeat: Make) -> None:
    async def body(ears: Ears) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", ears.listener.port) for _ in range(30)]
        pusher = ears.pusher()
        assert await pusher.push(make_heartbeat(1))
        await pusher.close()
        for _, writer in idle:
            writer.transport.abort()

    assert len(listening(body).taken) == 1


def test_a_guard_that_is_away_costs_the_controller_a_deadline_and_no_more(
    tmp_path: Path, make_heartbeat: Make
) -> None:
    async def main() -> None:
        writers = []
        hanging = await asyncio.start_server(
            lambda reader, writer: writers.append(writer), "127.0.0.1", 0
        )
        port = hanging.sockets[0].getsockname()[1]
        address = GuardAddress("127.0.0.1", port)
        pushers = [HeartbeatPusher(address, KEY, within_s=0.1) for _ in range(2)]
        sender = HeartbeatSender(StateFolder(tmp_path), pushers)
        assert await sender.beat(make_heartbeat(7)) == ()
        assert all("no answer within" in pusher.failure for pusher in pushers)
        written = read_heartbeat(tmp_path / "heartbeat.json")
        assert written is not None
        assert written.tick == 7
        (tmp_path / "guard.json").write_bytes(notice(GuardState.FAILSAFE, epoch=2).to_bytes())
        (local,) = await sender.beat(make_heartbeat(8))
        assert local.epoch == 2
        await sender.close()
        hanging.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_the_orders_of_several_guards_add_up() -> None:
    one = notice(GuardState.FAILSAFE, epoch=2, cap_kw=100.0, reason="silent")
    two = notice(GuardState.HANDING_BACK, guard="b", epoch=5, cap_kw=50.0)
    three = notice(GuardState.WATCHING, guard="c", epoch=9)

    orders = guard_orders([one, two, three])

    assert not orders.starts_allowed
    assert orders.cap_kw == 50.0
    assert orders.epochs == {"second": 2, "b": 5}
    assert "silent" in orders.reason
    assert guard_orders([three]).starts_allowed


def test_only_reductions_that_still_hold_are_kept(make_heartbeat: Make) -> None:
    reductions = (
        Reduction(reduction_id="1", kind="demand response", max_kw=50.0, until=AT.replace(hour=1)),
        Reduction(reduction_id="2", kind="contract", max_kw=80.0, until=AT.replace(hour=2)),
    )
    beat = make_heartbeat(reductions=reductions)

    assert beat.kept_kw(AT) == 50.0
    assert beat.kept_kw(AT.replace(hour=1)) == 80.0
    assert beat.kept_kw(AT.replace(hour=2)) is None
    assert parse_heartbeat(beat.to_bytes()) == beat


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("0" * 64, 0o640, "others than its owner"),
        ("0" * 62, 0o600, "64 hex"),
        ("", 0o600, "64 hex"),
    ],
)
def test_a_key_that_others_read_or_that_is_none_is_refused(
    tmp_path: Path, content: str, mode: int, words: str
) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(mode)

    with pytest.raises(LinkError, match=words):
        read_link_key(path)

    path.write_text("ab" * 32)
    path.chmod(0o400)
    assert read_link_key(path) == b"\xab" * 32
