"""A source: what it offers, which options it takes, and the requests that they make."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from gridhash.data.fetch.request import FetchError, Request


@dataclass(frozen=True)
class Option:
    """One option of a source.

    Attributes
    ----------
    name
        As on the command line, without dashes in front.
    meaning, example
        For the help and for messages.
    default
        Taken where the option is not given; None if it must be.
    choices
        The values allowed; empty if any.
    variable
        For a key: the environment variable that holds it.
    """

    name: str
    meaning: str
    example: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    variable: str = ""


class Values:
    """The options given for one fetch, read as what they mean.

    Every method raises FetchError, naming the option and an example, if the value is missing or
    wrong.
    """

    def __init__(
        self,
        source: "Source",
        given: Mapping[str, object],
        environment: Mapping[str, str],
        now: datetime,
    ) -> None:
        self.now = now
        self._source = source
        self._options = {option.name: option for option in source.options}
        self._environment = environment
        self._given = {
            name.replace("_", "-"): str(value) for name, value in given.items() if value is not None
        }
        for name in self._given:
            if name not in self._options:
                takes = ", ".join(f"--{option}" for option in self._options) or "no options"
                raise FetchError(f"{source.name} does not take --{name}; it takes {takes}")

    def text(self, name: str) -> str:
        """Return the value as it is, or the choice that it names in any case."""
        option = self._options[name]
        value = self._given.get(name, option.default)
        if value is None:
            raise FetchError(
                f"{self._source.name} needs --{name} ({option.meaning}), for example "
                f"--{name} {option.example}"
            )
        if not option.choices:
            return value
        for choice in option.choices:
            if choice.lower() == value.lower():
                return choice
        raise self._wrong(name, value, f"one of {', '.join(option.choices)}")

    def key(self, name: str) -> SecretStr:
        """Return a key from the option or else from its environment variable."""
        option = self._options[name]
        value = self._given.get(name) or self._environment.get(option.variable, "")
        if not value.strip():
            raise FetchError(
                f"{self._source.name} needs a key: set the environment variable "
                f"{option.variable}, or give --{name} ({option.meaning})"
            )
        key = value.strip()
        if not re.fullmatch("[!-~]+", key):
            raise FetchError(
                f"{self._source.name}: the key in {option.variable} or --{name} has a space or a "
                "letter that no key has; copy it again"
            )
        return SecretStr(key)

    def year(self, name: str) -> int:
        """Return a year of four digits."""
        value = self.text(name)
        if not re.fullmatch(r"(19|20)\d\d", value):
            raise self._wrong(name, value, "a year")
        return int(value)

    def month(self, name: str) -> date:
        """Return the first day of a month given as YYYY-MM."""
        value = self.text(name)
        if not re.fullmatch(r"(19|20)\d\d-(0[1-9]|1[0-2])", value):
            raise self._wrong(name, value, "a month YYYY-MM")
        return date.fromisoformat(f"{value}-01")

    def span(self) -> tuple[date, date]:
        """Return --start and --end: the first day and the last, both included."""
        start, end = self._day("start"), self._day("end")
        if end < start:
            raise FetchError(
                f"{self._source.name}: --end {end} is before --start {start}; both days count"
            )
        return start, end

    def number(self, name: str, low: float, high: float) -> float:
        """Return a number in [low, high]."""
        value = self.text(name)
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise self._wrong(name, value, f"a number from {low:g} to {high:g}")
        return number

    def _day(self, name: str) -> date:
        value = self.text(name)
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise self._wrong(name, value, "a day YYYY-MM-DD") from None

    def _wrong(self, name: str, value: str, needed: str) -> FetchError:
        return FetchError(
            f"{self._source.name}: --{name} {value} is not {needed}; for example --{name} "
            f"{self._options[name].example}"
        )


@dataclass(frozen=True)
class Source:
    """One source of files.

    Attributes
    ----------
    name
        As on the command line.
    title
        What it offers, in one line.
    options
        What it takes.
    build
        Makes the requests.
    notes
        What to know before: keys, terms, what was not checked against the live server.
    """

    name: str
    title: str
    options: tuple[Option, ...]
    build: Callable[[Values], Sequence[Request]]
    notes: str = ""

    def requests(
        self,
        options: Mapping[str, object],
        *,
        now: datetime,
        base_url: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> list[Request]:
        """Return the requests for these options.

        Parameters
        ----------
        options
            By name, with dashes or underscores; None stands for one that is not given.
        now
            The time; aware. Decides which days may be published.
        base_url
            Scheme and host to ask in place of the publisher's, for mirrors and tests.
        environment
            Where keys are looked up; None is the process's.

        Raises
        ------
        FetchError
            If an option is unknown, missing or wrong, or the source cannot be fetched.
        """
        given = os.environ if environment is None else environment
        built = self.build(Values(self, options, given, now))
        return [_at(base_url, request) for request in built] if base_url else list(built)


def _at(base_url: str, request: Request) -> Request:
    return replace(
        request,
        url=rebased(request.url, base_url),
        if_missing=[_at(base_url, other) for other in request.if_missing],
    )


def rebased(url: str, base_url: str) -> str:
    """Return the address at another scheme and host.

    >>> rebased("https://example.org/a/b?c=1", "http://127.0.0.1:8000/anything")
    'http://127.0.0.1:8000/a/b?c=1'
    """
    base = urlsplit(base_url)
    if base.scheme not in ("http", "https") or not base.hostname or "@" in base.netloc:
        raise FetchError(
            "the base URL is no plain address; give one like https://mirror.example.org"
        )
    return urlunsplit(urlsplit(url)._replace(scheme=base.scheme, netloc=base.netloc))


def days(start: date, end: date) -> list[date]:
    """Return every day from start to end, both included."""
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def calendar_years(start: date, end: date) -> list[tuple[date, date]]:
    """Split a span of days, both ends included, at the turns of the years."""
    return [
        (max(start, date(year, 1, 1)), min(end, date(year, 12, 31)))
        for year in range(start.year, end.year + 1)
    ]
