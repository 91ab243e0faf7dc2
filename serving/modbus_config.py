"""Which registers a site's meter and its plant have: blocks of the operation file."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gridhash.config_blocks import Block
from gridhash.serving.modbus_reader import N_REGISTERS, Place, Point, RegisterType, Table, WordOrder

LAST_ADDRESS = 0xFFFF

SensorName = Annotated[str, Field(min_length=1, max_length=64)]


class RegisterBlock(Block):
    """Where one value stands."""

    address: int = Field(ge=0, le=LAST_ADDRESS, description="first register, from 0")
    type: RegisterType
    scale: float = Field(default=1.0, allow_inf_nan=False, description="value per number")
    offset: float = Field(default=0.0, allow_inf_nan=False)
    word_order: WordOrder = Field(default="big", description="which word comes first")
    table: Table = Field(default="holding", description="function code 3 or 4")

    @model_validator(mode="after")
    def _check(self) -> Self:
        last = self.address + N_REGISTERS[self.type] - 1
        if last > LAST_ADDRESS:
            raise ValueError(f"a {self.type} at {self.address} ends beyond {LAST_ADDRESS}")
        if self.scale == 0.0:
            raise ValueError("scale 0 makes every value the same")
        return self

    def to_point(self, name: str) -> Point:
        """Return the place of a value of this name."""
        return Point(
            name=name,
            address=self.address,
            kind=self.type,
            scale=self.scale,
            offset=self.offset,
            word_order=self.word_order,
            table=self.table,
        )


class ServerBlock(Block):
    """A Modbus TCP server."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=502, ge=1, le=65535)
    unit: int = Field(default=1, ge=0, le=255, description="device behind the server")
    deadline_s: float = Field(default=1.0, gt=0, le=10, description="wall time for a reading")
    measured_at: RegisterBlock | None = Field(
        default=None, description="when the values were taken, in seconds since 1970 UTC"
    )

    @property
    def place(self) -> Place:
        """Where it answers."""
        return Place(host=self.host, port=self.port, unit=self.unit, deadline_s=self.deadline_s)


class MeterBlock(ServerBlock):
    """The meter of the whole site."""

    power: RegisterBlock = Field(description="of the site, in kW; positive is drawn")
    cooling: RegisterBlock | None = Field(
        default=None, description="of it, what the cooling plant draws, in kW"
    )
    least_kw: float = Field(default=0.0, description="less is implausible")
    most_kw: float | None = Field(
        default=None, gt=0, description="more is implausible; 1.5 times the contract if left out"
    )
    fresh_s: float = Field(default=30.0, gt=0, le=600, description="age up to which it is used")
    demand_cap_kw: float | None = Field(
        default=None,
        gt=0,
        description="mean of a demand interval at most; the contract if left out",
    )
    demand_interval_min: int = Field(
        default=30, ge=5, le=60, description="from the full hour, in which demand is averaged"
    )

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.most_kw is not None and self.least_kw >= self.most_kw:
            raise ValueError(f"least_kw {self.least_kw:g} is not below most_kw {self.most_kw:g}")
        if 60 % self.demand_interval_min:
            raise ValueError(
                f"demand_interval_min {self.demand_interval_min} does not divide an hour"
            )
        return self


class PlantBlock(ServerBlock):
    """The controller of the cooling plant."""

    sensors: dict[SensorName, RegisterBlock] = Field(
        min_length=1, max_length=64, description="by the names that permissives use"
    )
