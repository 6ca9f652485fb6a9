"""Logs: one line per event, a message and named fields, as text (logfmt) or JSON.

The standard library's logging carries them, so a program that embeds the server keeps its own handlers; only
`configure` touches handlers, and only a command calls it. Payloads, headers and tokens must never be fields.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

ROOT_NAME: Final = "perdure"
NEVER: Final = logging.CRITICAL + 10
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "never": NEVER,
}
"""The words of the command line; `never` prints nothing."""
FORMATS: Final = ("text", "json", "pretty")
"""`pretty` is an old name of text."""

_NAMES: Final = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "FATAL",
}
_FIELDS: Final = "perdure_fields"


class Log:
    """A named logger whose calls take fields: `log.warn("lease lost", range=3, epoch=7)`."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        """`name` is the layer's ("engine", "store"); it shows as the field `component`."""
        self._logger = logging.getLogger(f"{ROOT_NAME}.{name}")

    def debug(self, message: str, /, **fields: object) -> None:
        self._log(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        self._log(logging.INFO, message, fields)

    def warn(self, message: str, /, **fields: object) -> None:
        self._log(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        self._log(logging.ERROR, message, fields)

    def exception(self, message: str, error: BaseException, /, **fields: object) -> None:
        """An error of ours, with its traceback."""
        if self._logger.isEnabledFor(logging.ERROR):
            self._logger.error(message, exc_info=error, extra={_FIELDS: fields})

    def is_enabled_for(self, level: str) -> bool:
        """Whether a level of `LEVELS` is printed: ask before building something costly."""
        return self._logger.isEnabledFor(LEVELS[level])

    def _log(self, level: int, message: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, extra={_FIELDS: fields})


class TextFormatter(logging.Formatter):
    """`time=... level=WARN msg="..." component=engine key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = " ".join(f"{key}={_quoted(value)}" for key, value in _items(record))
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line; an exception's traceback is the field `stack`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(_items(record))
        if record.exc_info:
            fields["stack"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, ensure_ascii=False, separators=(",", ":"))


def configure(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send the server's logs to `stream` (standard error), replacing what an earlier call set.

    `level` is a key of `LEVELS`, `log_format` one of `FORMATS`; KeyError or ValueError otherwise.
    """
    if log_format not in FORMATS:
        raise ValueError(f"unknown log format {log_format!r}")
    root = logging.getLogger(ROOT_NAME)
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(LEVELS[level])


def _items(record: logging.LogRecord) -> list[tuple[str, object]]:
    items: list[tuple[str, object]] = [
        ("time", datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")),
        ("level", _NAMES.get(record.levelno, record.levelname)),
        ("msg", record.getMessage()),
    ]
    component = record.name.removeprefix(ROOT_NAME).lstrip(".")
    if component:
        items.append(("component", component))
    fields = getattr(record, _FIELDS, None)
    if fields:
        items.extend(fields.items())
    return items


def _quoted(value: object) -> str:
    text = str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
