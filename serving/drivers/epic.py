"""The language of ePIC control boards (UMC, PowerPlay-BMS): a web API at port 4028.

Written on HTTP alone, because pyasic 0.79.0 waits for a field that the rig does not send and so
calls every success a failure. Power can be set by hash rate alone, in steps of a tuner that runs
for minutes; so a rig here runs or stands.
"""

from datetime import datetime
from typing import Any

from gridhash.serving.drivers.capabilities import FirmwareName
from gridhash.serving.drivers.credentials import Credentials, required
from gridhash.serving.drivers.firmware import Ack, Found, Order, Who, mac_text
from gridhash.serving.drivers.protocol import Command, Outcome, Why
from gridhash.serving.drivers.telemetry import Telemetry, scaled
from gridhash.serving.drivers.wire import NoReply, OtherFirmware, Place, RefusedByRig, ask_web
from gridhash.serving.snapshot import RigReading

EPIC_PORT = 4028
MHS_PER_THS = 1e6
ASLEEP = "Idling"


class Epic:
    """Speaks to a rig with an ePIC board. Implements `Firmware`."""

    name = FirmwareName.EPIC

    def __init__(self, place: Place, credentials: Credentials | None = None) -> None:
        """Prepare to speak; nothing is sent."""
        self._place = place
        self.credentials = credentials

    def delay_s(self, command: Command) -> float:
        """Return 0: commands act at once."""
        return 0.0

    async def identify(self) -> Found:
        """Return what ``summary``, ``capabilities`` and ``network`` tell."""
        summary = await self._summary()
        capabilities = Telemetry(await ask_web(self._place, "/capabilities"))
        return Found(
            who=await self._who(),
            model=capabilities.text("Model") or "unnamed",
            version=summary.text("Software"),
        )

    async def log_on(self) -> Who:
        """Ask for marks; the password goes with each order."""
        required(self.credentials, self._place, self.name)
        return await self._who()

    async def send(self, order: Order, who: Who) -> Ack:
        """Stop mining, or start it as the rig is set up."""
        own = required(self.credentials, self._place, self.name)
        param = "Stop" if order.command is Command.STOP else "Autostart"
        answer = Telemetry(
            await ask_web(self._place, "/miner", send={"param": param, "password": own.secret()})
        )
        done = answer.flag("result")
        done = answer.flag("success") if done is None else done
        if done is None:
            raise NoReply(f"{self._place} answered {param} without a result")
        if done:
            return Ack(outcome=Outcome.PENDING, detail=f"{param} acknowledged")
        words = answer.text("error") or "no reason given"
        wrong_password = "password" in words.casefold()
        raise RefusedByRig(
            f"{self._place} refused {param}: {words:.200}",
            Why.CREDENTIALS if wrong_password else Why.RIG_SAID_NO,
        )

    async def log_off(self) -> None:
        """Do nothing: there is no session."""

    async def read(self, at: datetime) -> tuple[RigReading, Who]:
        """Read the summary and the marks."""
        summary = await self._summary()
        boards = summary.at("HBs")
        indices = range(len(boards)) if isinstance(boards, list) else range(0)
        rates = [summary.number("HBs", k, "Hashrate", 0) for k in indices]
        told = [rate for rate in rates if rate is not None]
        state = summary.text("Status", "Operating State")
        reading = RigReading(
            rig_id=self._place.rig_id,
            read_at=at,
            power_w=summary.number("Power Supply Stats", "Input Power"),
            hashrate_ths=scaled(sum(told), MHS_PER_THS) if len(told) == len(rates) else None,
            chip_temp_c=summary.highest(*(("HBs", k, "Temperature") for k in indices)),
            working=None if state is None else state == "Mining",
            soft_off=None if state is None else state == ASLEEP,
            uptime_s=summary.number("Session", "Uptime"),
            not_numbers=tuple(summary.not_numbers),
        )
        return reading, await self._who()

    async def _summary(self) -> Telemetry:
        summary = Telemetry(await ask_web(self._place, "/summary"))
        if not isinstance(summary.at("Status"), dict):
            raise OtherFirmware(f"{self._place} does not answer as an ePIC board does")
        return summary

    async def _who(self) -> Who:
        network: Any = await ask_web(self._place, "/network")
        ports = network.values() if isinstance(network, dict) else []
        macs = [mac_text(Telemetry(port).at("mac_address")) for port in ports]
        return Who(mac=next((mac for mac in macs if mac is not None), None))
