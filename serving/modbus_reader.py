"""Named values from the registers of one Modbus TCP server; read only.

Registers that follow each other are asked for in one request, so that their values belong
together. Each reading has a connection of its own: a meter that was restarted, or a line that was
down, needs no case of its own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gridhash.errors import ServingError

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

MOST_REGISTERS = 125
"""In one request, by the protocol."""

RegisterType = Literal[
    "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"
]
N_REGISTERS: Mapping[RegisterType, int] = {
    "uint16": 1,
    "int16": 1,
    "uint32": 2,
    "int32": 2,
    "uint64": 4,
    "int64": 4,
    "float32": 2,
    "float64": 4,
}
Table = Literal["holding", "input"]
WordOrder = Literal["big", "little"]


class ModbusUnreachable(ServingError):
    """A Modbus server gave no usable answer within its deadline."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where one value stands, and what a number there means."""

    name: str
    address: int
    """Of the first register, counted from 0 as on the wire."""
    kind: RegisterType
    scale: float = 1.0
    """The value is `scale` times the number, plus `offset`."""
    offset: float = 0.0
    word_order: WordOrder = "big"
    """Whether the first register holds the high word."""
    table: Table = "holding"

    @property
    def end(self) -> int:
        """Address after its last register."""
        return self.address + N_REGISTERS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server, and the device behind it."""

    host: str
    port: int = 502
    unit: int = 1
    deadline_s: float = 1.0
    """Wall time for a whole reading."""

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.host}:{self.port}, unit {self.unit}"


class ModbusReader:
    """Reads the same points again and again."""

    def __init__(self, place: Place, points: Sequence[Point]) -> None:
        """Ask nothing yet.

        Raises
        ------
        ServingError
            If pymodbus is not installed.
        """
        try:
            import pymodbus  # noqa: F401  # found missing now, not at the first reading
        except ImportError as err:
            raise ServingError(
                f"reading {place} needs pymodbus, which is not installed: "
                f'pip install "gridhash[site]" ({err})'
            ) from err
        self.place = place
        self._runs = adjacent(points)

    async def read(self) -> dict[str, float]:
        """Return every value by its name; NaN where a float register holds it.

        Raises
        ------
        ModbusUnreachable
            If the server cannot be reached, refuses a register, or is late.
        """
        from pymodbus.client import AsyncModbusTcpClient
        from pymodbus.exceptions import ModbusException

        place = self.place
        client = AsyncModbusTcpClient(
            place.host,
            port=place.port,
            timeout=place.deadline_s,
            retries=0,
            reconnect_delay=0,
        )
        try:
            async with asyncio.timeout(place.deadline_s):
                if not await client.connect():
                    raise ModbusUnreachable(f"{place}: nobody answers there")
                found: dict[str, float] = {}
                for run in self._runs:
                    found |= await _read_run(client, place, run)
                return found
        except TimeoutError as err:
            raise ModbusUnreachable(f"{place}: no answer within {place.deadline_s:g} s") from err
        except (ModbusException, OSError) as err:
            raise ModbusUnreachable(f"{place}: {err}") from err
        finally:
            client.close()


def adjacent(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points in runs without a gap, each short enough for one request."""
    runs: list[list[Point]] = []
    for point in sorted(points, key=lambda own: (own.table, own.address, own.end)):
        last = runs[-1] if runs else None
        if (
            last is not None
            and last[0].table == point.table
            and point.address <= max(own.end for own in last)
            and point.end - last[0].address <= MOST_REGISTERS
        ):
            last.append(point)
        else:
            runs.append([point])
    return runs


async def _read_run(
    client: "AsyncModbusTcpClient", place: Place, run: Sequence[Point]
) -> dict[str, float]:
    first, count = run[0].address, max(point.end for point in run) - run[0].address
    ask = (
        client.read_holding_registers if run[0].table == "holding" else client.read_input_registers
    )
    reply = await ask(first, count=count, device_id=place.unit)
    if reply.isError() or len(reply.registers) != count:
        names = ", ".join(point.name for point in run)
        raise ModbusUnreachable(
            f"{place}: {run[0].table} registers {first} to {first + count - 1} ({names}) are "
            f"refused: {reply}"
        )
    return {point.name: _value(client, point, reply.registers, first) for point in run}


def _value(
    client: "AsyncModbusTcpClient", point: Point, registers: Sequence[int], first: int
) -> float:
    own = registers[point.address - first : point.end - first]
    kind = client.DATATYPE[point.kind.upper()]
    number = client.convert_from_registers(list(own), kind, word_order=point.word_order)
    assert isinstance(number, int | float)  # never text or bits: their types are not among ours
    return float(number) * point.scale + point.offset
