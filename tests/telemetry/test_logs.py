"""One line per event: a message and named fields."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from perdure.telemetry.logs import LEVELS, ROOT_NAME, Log, configure


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
    Log("engine").warn('lease "lost"\n100%', range=3, note="a=b", empty="")
    line = stream.getvalue()
    assert re.fullmatch(r"time=\S+ level=WARN msg=.* component=engine range=3 note=\"a=b\" empty=\"\"\n", line)
    assert 'msg="lease \\"lost\\"\\n100%"' in line


def test_json_lines_are_objects() -> None:
    """Fields keep their types where JSON has them, and become text where not."""
    stream = io.StringIO()
    configure("debug", "json", stream)
    Log("store").debug("opened", path="x", pages=7, raw=b"b")
    fields = json.loads(stream.getvalue())
    assert fields.pop("time").endswith("+00:00")
    assert fields == {"level": "DEBUG", "msg": "opened", "component": "store", "path": "x", "pages": 7, "raw": "b'b'"}


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
    log = Log("x")
    for say in (log.debug, log.info, log.warn, log.error):
        say("m")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == printed
    assert log.is_enabled_for("warn") == ("WARN" in printed)


def test_exceptions_carry_their_traceback() -> None:
    """In JSON as a field, in text on the lines after."""
    for log_format in ("json", "pretty"):
        stream = io.StringIO()
        configure("error", log_format, stream)
        try:
            raise KeyError("lost")
        except KeyError as error:
            Log("engine").exception("step failed", error, chain="c")
        assert "KeyError: 'lost'" in stream.getvalue()
        assert "chain" in stream.getvalue()


def test_unknown_words_are_refused() -> None:
    """Formats and levels are closed lists."""
    with pytest.raises(ValueError, match="xml"):
        configure("info", "xml")
    with pytest.raises(KeyError):
        configure("loud", "text")
    assert list(LEVELS) == ["debug", "info", "warn", "error", "fatal", "never"]
