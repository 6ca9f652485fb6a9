"""Logs: one line per event (time, level, message, and which part of the server says it), as text (logfmt) or JSON.

The standard library's logging carries them, so a program that embeds the server keeps its own handlers; only
`configure` touches handlers, and only a command calls it. Payloads, headers and tokens must never be logged.
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


class TextFormatter(logging.Formatter):
    """`time=... level=WARN msg="..." component=engine.committer`."""

    def format(self, record: logging.LogRecord) -> str:
        line = " ".join(f"{key}={_quoted(value)}" for key, value in _items(record))
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line; an exception's traceback is the field `stack`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(_items(record))
        if record.exc_info:
            fields["stack"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


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


def _items(record: logging.LogRecord) -> list[tuple[str, str]]:
    items = [
        ("time", datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")),
        ("level", _NAMES.get(record.levelno, record.levelname)),
        ("msg", record.getMessage()),
    ]
    component = record.name.removeprefix(ROOT_NAME).lstrip(".")
    if component:
        items.append(("component", component))
    return items


def _quoted(text: str) -> str:
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
