"""One line per event: the time, the level, the message, and which part of the server says it."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from perdure.telemetry.logs import LEVELS, ROOT_NAME, configure


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger(ROOT_NAME)
    before = (root.handlers[:], root.propagate, root.level)
    yield
    root.handlers[:], root.propagate = before[0], before[1]
    root.setLevel(before[2])


def test_text_lines_quote_what_needs_it() -> None:
    """Spaces, quotes, equals signs and line breaks never break a line."""
    stream = io.StringIO()
    configure("info", "text", stream)
    logging.getLogger(f"{ROOT_NAME}.engine").warning('lease "%s"\n100%%', "lost")
    line = stream.getvalue()
    assert re.fullmatch(r"time=\S+ level=WARN msg=.* component=engine\n", line)
    assert 'msg="lease \\"lost\\"\\n100%"' in line


def test_json_lines_are_objects() -> None:
    """With the same names; the root speaks for no component."""
    stream = io.StringIO()
    configure("debug", "json", stream)
    logging.getLogger(f"{ROOT_NAME}.store").debug("opened %s", "x")
    logging.getLogger(ROOT_NAME).info("ready")
    opened, ready = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert opened.pop("time").endswith("+00:00")
    assert opened == {"level": "DEBUG", "msg": "opened x", "component": "store"}
    assert ready.keys() == {"time", "level", "msg"}


@pytest.mark.parametrize(
    ("level", "printed"),
    [
        ("debug", ["DEBUG", "INFO", "WARN", "ERROR"]),
        ("info", ["INFO", "WARN", "ERROR"]),
        ("warn", ["WARN", "ERROR"]),
        ("error", ["ERROR"]),
        ("fatal", []),
        ("never", []),
    ],
)
def test_levels(level: str, printed: list[str]) -> None:
    """Each word of the command line prints itself and what is worse."""
    stream = io.StringIO()
    configure(level, "json", stream)
    log = logging.getLogger(f"{ROOT_NAME}.x")
    for say in (log.debug, log.info, log.warning, log.error):
        say("m")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == printed


def test_exceptions_carry_their_traceback() -> None:
    """In JSON as a field, in text on the lines after."""
    for log_format in ("json", "pretty"):
        stream = io.StringIO()
        configure("error", log_format, stream)
        try:
            raise KeyError("lost")
        except KeyError:
            logging.getLogger(f"{ROOT_NAME}.engine").exception("step failed")
        assert "step failed" in stream.getvalue()
        assert "KeyError: 'lost'" in stream.getvalue()


def test_unknown_words_are_refused() -> None:
    """Formats and levels are closed lists."""
    with pytest.raises(ValueError, match="xml"):
        configure("info", "xml")
    with pytest.raises(KeyError):
        configure("loud", "text")
    assert list(LEVELS) == ["debug", "info", "warn", "error", "fatal", "never"]
