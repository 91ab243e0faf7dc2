"""Answers of rigs with wrong values anywhere in them: a reading, a typed failure, nothing else.

No sockets: what a driver asks is answered by a simulated rig's own words, with a few values put
wrong on the way.
"""

import asyncio
import json
import math
import random
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from gridhash.config import load_site
from gridhash.errors import ServingError
from gridhash.serving.clock import SimulatedClock
from gridhash.serving.drivers import antminer, braiins, epic, luxos, vnish, whatsminer_v2
from gridhash.serving.drivers import whatsminer_v3 as v3
from gridhash.serving.drivers.breaker import BreakerSettings, CircuitBreaker
from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials
from gridhash.serving.drivers.protocol import CommandResult, Outcome
from gridhash.serving.drivers.pyasic_library import load_braiins
from gridhash.serving.drivers.registry import driver_for
from gridhash.serving.drivers.wire import NoReply, Place, parse_json
from gridhash.serving.simulated_braiins import BraiinsWire
from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_luxos import LuxosWire
from gridhash.serving.simulated_model import (
    BRAIINS_S21,
    LUXOS_S21,
    WHATSMINER_M63S,
    RigModel,
)
from gridhash.serving.simulated_rig import SimulatedRig
from gridhash.serving.simulated_whatsminer import WhatsminerV3Wire
from gridhash.serving.snapshot import RigReading
from tests.serving.simulated_web_rigs import (
    WEB_S21,
    WHATSMINER_M50,
    AntminerWire,
    EpicWire,
    VnishWire,
    WhatsminerV2Wire,
)

START = datetime(2024, 4, 1, tzinfo=UTC)
GROUP = load_site("japan_pilot").groups[0]
N_TURNS = 60
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1e300, math.nan, -math.inf, "nan", "1e999", "", "x" * 300, [], [[]],
    {}, {"a": 1}, [None], "00:00", "E0:E1", -(2**70), "\x00",
)  # fmt: skip


def spoilt(value: Any, luck: random.Random, chance: float) -> Any:
    """Return a JSON value with wrong values, missing keys and missing entries in some places."""
    if luck.random() < chance:
        return luck.choice(WRONG)
    if isinstance(value, dict):
        kept = {key: own for key, own in value.items() if luck.random() > chance / 2.0}
        return {key: spoilt(own, luck, chance) for key, own in kept.items()}
    if isinstance(value, list):
        return [spoilt(own, luck, chance) for own in value if luck.random() > chance / 2.0]
    return value


def check_reading(reading: RigReading) -> None:
    for field in fields(reading):
        value = getattr(reading, field.name)
        if isinstance(value, float):
            assert math.isfinite(value), (field.name, value)
        elif field.name.endswith(("_w", "_c", "_ths", "_s")):
            assert value is None, (field.name, value)


def drive(firmware: FirmwareName, is_right: Callable[[], bool]) -> None:
    """Identify, read and command many times; what the rig said may be wrong in any way."""
    clock = SimulatedClock(START)
    driver = driver_for(
        "rig",
        "127.0.0.1",
        clock,
        firmware=firmware,
        credentials=Credentials("", SecretStr("own-word")),
        breaker=CircuitBreaker(clock, BreakerSettings(open_after=10**9)),
    )

    async def turns() -> None:
        n_read = 0
        for _ in range(N_TURNS):
            right = is_right()
            try:
                await driver.identify()
                reading = await driver.read()
            except ServingError:
                assert not right
            else:
                n_read += 1
                check_reading(reading)
            results: list[CommandResult] = [
                await driver.stop(),
                await driver.set_power_kw(5.0),
                await driver.resume(),
            ]
            if right:
                assert results[0].outcome in {Outcome.PENDING, Outcome.APPLIED}
        assert n_read > 5

    asyncio.run(turns())


JSON_FIRMWARES: dict[FirmwareName, tuple[Any, type[TcpWire], RigModel]] = {
    FirmwareName.WHATSMINER_V3: (v3, WhatsminerV3Wire, WHATSMINER_M63S),
    FirmwareName.WHATSMINER_V2: (whatsminer_v2, WhatsminerV2Wire, WHATSMINER_M50),
    FirmwareName.LUXOS: (luxos, LuxosWire, LUXOS_S21),
    FirmwareName.VNISH: (vnish, VnishWire, WEB_S21),
    FirmwareName.EPIC: (epic, EpicWire, WEB_S21),
    FirmwareName.ANTMINER: (antminer, AntminerWire, WEB_S21),
}


@pytest.mark.parametrize("firmware", JSON_FIRMWARES)
def test_wrong_values_anywhere_in_an_answer_are_a_typed_failure_or_not_reported(
    firmware: FirmwareName, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, wire_class, model = JSON_FIRMWARES[firmware]
    rig = SimulatedRig(
        "rig", GROUP, SimulatedClock(START), model=replace(model, password="own-word")
    )
    wire: Any = wire_class(rig)
    luck = random.Random(f"fuzz {firmware}")
    chance = 0.0

    def next_chance() -> bool:
        nonlocal chance
        chance = luck.choice((0.0, 0.002, 0.02, 0.2))
        return chance == 0.0

    def made_wrong(reply: bytes) -> bytes:
        return json.dumps(spoilt(json.loads(reply.strip(b"\x00")), luck, chance)).encode()

    async def exchange(place: Place, request: bytes, _: Any) -> bytes:
        _, reply = wire.answer(request)
        if reply is None:
            raise NoReply("silent")
        return made_wrong(reply[4:] if firmware is FirmwareName.WHATSMINER_V3 else reply)

    async def ask_web(
        place: Place, path: str, *, send: Any = None, method: str = "", **_: Any
    ) -> Any:
        headers = {"authorization": VnishWire.token}
        verb = method or ("GET" if send is None else "POST")
        status, payload = wire.respond(verb, path, headers, send)
        if status != 200:
            raise module.RefusedByRig(f"HTTP {status}")
        return parse_json(place, made_wrong(json.dumps(payload).encode()))

    if isinstance(wire, AntminerWire):
        monkeypatch.setattr(wire, "_knows", lambda *_: True)
    is_web = firmware in {FirmwareName.VNISH, FirmwareName.EPIC, FirmwareName.ANTMINER}
    monkeypatch.setattr(module, *(("ask_web", ask_web) if is_web else ("exchange", exchange)))

    drive(firmware, next_chance)


def test_wrong_bytes_in_a_message_of_braiins_are_a_typed_failure_or_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_braiins()
    rig = SimulatedRig(
        "rig", GROUP, SimulatedClock(START), model=replace(BRAIINS_S21, password="own-word")
    )
    wire = BraiinsWire(rig)
    luck = random.Random("fuzz braiins")
    n_wrong = 0

    def next_chance() -> bool:
        nonlocal n_wrong
        n_wrong = luck.choice((0, 1, 1, 3))
        return n_wrong == 0

    async def call(self: Any, method: Any, request: Any) -> Any:
        with braiins._typed_failures(self._place):
            reply = await getattr(wire, method.__name__)(request)
        data = bytearray(bytes(reply))
        for _ in range(n_wrong if data else 0):
            data[luck.randrange(len(data))] = luck.randrange(256)
        with braiins._typed_failures(self._place):
            return type(reply)().parse(bytes(data))

    async def connected(place: Place, channel: Any) -> None:
        pass

    async def log_in(self: Any, channel: Any) -> None:
        self._token = "token"

    monkeypatch.setattr(braiins.Braiins, "_call", call)
    monkeypatch.setattr(braiins.Braiins, "_log_in", log_in)
    monkeypatch.setattr(braiins, "_connected", connected)

    drive(FirmwareName.BRAIINS, next_chance)
