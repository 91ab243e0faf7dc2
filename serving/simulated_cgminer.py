"""The grammar of TCP 4028 that Avalon, LuxOS and BOSminer share: cgminer's API.

One command per connection: JSON ``{"command": "version"}``, several joined as ``a+b+c``, or the
text form ``ascset|0,softoff,1:<ts>``; the reply ends with NUL, then the rig closes.
"""

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from gridhash.serving.simulated_listener import TcpWire
from gridhash.serving.simulated_rig import SimulatedRig

Section = dict[str, Any]
Reads = Mapping[str, Callable[[SimulatedRig], Section]]

CGMINER_PORT = 4028
NUL = b"\x00"


class RigHangsUp(Exception):
    """The rig closes the connection without a reply, which some firmware does on purpose."""


class CgminerWire(TcpWire):
    """One rig's 4028: subclasses say what it can be asked (`reads`) and told (`change`)."""

    port = CGMINER_PORT
    description: str
    """What the firmware calls itself in every reply."""
    reads: Reads
    """Commands that change nothing."""

    @abstractmethod
    def change(self, command: str, parameter: str) -> Section | None:
        """Carry out a command that is no question; None if the firmware does not know it.

        Raises
        ------
        RigHangsUp
            If the rig does not answer.
        """

    def is_complete(self, data: bytes) -> bool:
        """Return whether the bytes hold a whole request; text has no terminator and always does."""
        if not data.lstrip().startswith(b"{"):
            return bool(data.strip())
        try:
            json.loads(data.rstrip(NUL))
        except ValueError:
            return False
        return True

    def answer(self, data: bytes) -> tuple[str, bytes | None]:
        """Carry out a request; return it as text and the reply, None if the rig hangs up."""
        command, parameter = parse_request(data)
        text = f"{command}|{parameter}" if parameter else command
        try:
            sections = self._sections_of(command, parameter)
        except RigHangsUp:
            return text, None
        as_json = data.lstrip().startswith(b"{")
        return text, (_to_json(sections) if as_json else _to_text(sections)).encode() + NUL

    def status(self, letter: str, code: int, message: str) -> Section:
        """Return the section that opens every reply: S success, I information, E error."""
        return status_of(self.rig, self.description, letter, code, message)

    def _sections_of(self, command: str, parameter: str) -> Section:
        if "+" in command:
            names = [name for name in command.split("+") if name in self.reads]
            return {**{name: [self._sections_of(name, "")] for name in names}, "id": 1}
        if command in self.reads:
            return {**self.reads[command](self.rig), "id": 1}
        made = self.change(command, parameter)
        if made is None:
            made = self.status("E", 14, "Invalid command")
        return made if isinstance(made["STATUS"], str) else {**made, "id": 1}


def parse_request(data: bytes) -> tuple[str, str]:
    """Return (command, parameter); an unreadable request is a command that no rig knows."""
    text = data.decode("utf-8", errors="replace").strip("\x00\r\n ")
    if not text.startswith("{"):
        command, _, parameter = text.partition("|")
        return command, parameter
    try:
        request = json.loads(text)
    except ValueError:
        return "", ""
    return str(request.get("command", "")), str(request.get("parameter", ""))


def status_of(rig: SimulatedRig, description: str, letter: str, code: int, message: str) -> Section:
    """Return the section ``STATUS``, which carries the rig's own clock in whole seconds."""
    when = int(rig.rig_clock_at().timestamp())
    return {
        "STATUS": [
            {
                "STATUS": letter,
                "When": when,
                "Code": code,
                "Msg": message,
                "Description": description,
            }
        ]
    }


def number(value: float, digits: int = 2) -> float | str:
    """Return a number as these firmwares write it: NaN is the text ``nan``."""
    return "nan" if value != value else round(value, digits)


def _to_json(sections: Section) -> str:
    return json.dumps(sections, separators=(",", ":"))


def _to_text(sections: Section) -> str:
    """Return the pipe form that rigs answer a text request with."""
    parts = []
    for name, section in sections.items():
        for item in section if isinstance(section, list) else []:
            pairs = (f"{key}={value}" for key, value in item.items())
            own = "" if name in item else f"{name},"
            parts.append(own + ",".join(pairs))
    return "|".join(parts) + "|" if parts else "RESTART|"
