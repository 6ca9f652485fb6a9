"""Flags are read the way the Temporal CLI reads them."""

from __future__ import annotations

import pytest

from perdure.cli.flags import Flag, FlagMistake, Kind, parse

FLAGS = (
    Flag("port", Kind.NUMBER, "", "p", 7233),
    Flag("headless", Kind.SWITCH, "", "q"),
    Flag("verbose", Kind.SWITCH, "", "v"),
    Flag("namespace", Kind.TEXTS, "", "n"),
    Flag("ip", Kind.TEXT, "", default="localhost"),
    Flag("level", Kind.TEXT, "", choices=("warn", "error")),
)


@pytest.mark.parametrize(
    "arguments",
    [["--port", "5"], ["--port=5"], ["-p", "5"], ["-p5"], ["-p=5"], ["-qp5"], ["-vqp", "5"], ["-p1", "-p5"]],
)
def test_every_spelling_of_a_valued_flag(arguments: list[str]) -> None:
    """Long and short, apart and together; the last one counts."""
    assert parse(arguments, FLAGS).number("port") == 5


def test_switches_take_a_value_only_with_an_equals_sign() -> None:
    """`--headless false` leaves `false` as a word."""
    parsed = parse(["--headless", "false"], FLAGS)
    assert parsed.switch("headless")
    assert parsed.words == ["false"]
    assert not parse(["--headless=false"], FLAGS).switch("headless")


def test_repeated_flags_keep_their_order() -> None:
    """All values of a repeatable flag, commas and all."""
    assert parse(["-n", "b", "--namespace=a,c", "-nd"], FLAGS).texts("namespace") == ["b", "a,c", "d"]


def test_defaults_hold_where_nothing_is_given() -> None:
    """And `given` tells them apart."""
    parsed = parse(["--ip", "localhost"], FLAGS)
    assert (parsed.number("port"), parsed.text("ip"), parsed.text("level")) == (7233, "localhost", "")
    assert (parsed.texts("namespace"), parsed.switch("headless")) == ([], False)
    assert (parsed.given("ip"), parsed.given("port")) == (True, False)


def test_a_value_may_look_like_a_flag_and_dashes_end_the_flags() -> None:
    """As in the reference: the next argument is the value, whatever it is."""
    assert parse(["--ip", "--port"], FLAGS).text("ip") == "--port"
    assert parse(["--", "--port"], FLAGS).words == ["--port"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["--port"], "flag needs an argument: --port"),
        (["-p"], "flag needs an argument: 'p' in -p"),
        (["--port", "abc"], 'invalid argument "abc" for "-p, --port" flag: not a number'),
        (["--headless=maybe"], 'invalid argument "maybe" for "-q, --headless" flag: not a truth value'),
        (
            ["--level=loud"],
            'invalid argument "loud" for "--level" flag: loud is not one of required values of warn, error',
        ),
    ],
)
def test_mistakes_are_named(arguments: list[str], text: str) -> None:
    """The texts are complete."""
    with pytest.raises(FlagMistake) as raised:
        parse(arguments, FLAGS)
    assert str(raised.value) == text
