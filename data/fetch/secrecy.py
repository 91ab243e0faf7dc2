"""Keep keys out of messages and logs."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

HIDDEN = "<hidden>"

# httpx logs every address it asks, with its query; httpcore the headers, when debugging.
_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


def hide(text: str, secrets: Iterable[SecretStr]) -> str:
    """Return the text without the secrets, quoted as in an address or not."""
    for secret in secrets:
        plain = secret.get_secret_value()
        for spelling in {plain, quote(plain), quote(plain, safe=""), quote_plus(plain)}:
            if spelling:
                text = text.replace(spelling, HIDDEN)
    return text


class _Hide(logging.Filter):
    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        super().__init__()
        self._secrets = list(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = hide(record.getMessage(), self._secrets)
        record.args = ()
        return True


@contextmanager
def hidden_in_logs(secrets: Iterable[SecretStr]) -> Iterator[None]:
    """Keep the secrets out of what the HTTP libraries log."""
    hiding = _Hide(secrets)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(hiding)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(hiding)
