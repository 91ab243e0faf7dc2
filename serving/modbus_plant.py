"""The sensors of the cooling plant over Modbus TCP, for permissives; read only."""

from collections.abc import Mapping

from gridhash.serving.clock import Clock
from gridhash.serving.modbus_config import PlantBlock
from gridhash.serving.modbus_reader import ModbusReader, ModbusUnreachable
from gridhash.serving.permissives import PlantUnreachable, PlantValue
from gridhash.serving.site_meter import instant_of

MEASURED_AT = "the plant's measured_at"
"""Name of a point that no sensor has by accident."""


class ModbusPlant:
    """Reads the plant's sensors; its time of measurement holds for all of them."""

    def __init__(self, block: PlantBlock, clock: Clock) -> None:
        """Ask nothing yet.

        Raises
        ------
        ServingError
            If pymodbus is not installed.
        """
        points = [own.to_point(name) for name, own in block.sensors.items()]
        if block.measured_at is not None:
            points.append(block.measured_at.to_point(MEASURED_AT))
        self._names = tuple(block.sensors)
        self._tells_time = block.measured_at is not None
        self._reader = ModbusReader(block.place, points)
        self._clock = clock

    async def read(self) -> Mapping[str, PlantValue]:
        """Return what each sensor shows, by its name.

        Raises
        ------
        PlantUnreachable
            If no answer came before the deadline, or the plant tells no usable time though it
            should: its values could then be of any age.
        """
        try:
            found = await self._reader.read()
        except ModbusUnreachable as err:
            raise PlantUnreachable(str(err)) from err
        at = instant_of(found[MEASURED_AT]) if self._tells_time else self._clock.now()
        if at is None:
            raise PlantUnreachable(
                f"{self._reader.place}: {MEASURED_AT} is no time ({found[MEASURED_AT]:g})"
            )
        return {name: PlantValue(value=found[name], at=at) for name in self._names}
