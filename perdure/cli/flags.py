"""Flags of the command line as a table, parsed the way the Temporal CLI parses them.

Argument order, `--flag value` and `--flag=value`, `-p 1`, `-p1` and `-p=1`, `--switch=false`, flags that repeat, and
the texts of mistakes follow that CLI, since SDKs and scripts start our server with the same words. It knows no command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a flag's value is; the member's value is the word that help shows."""

    TEXT = "string"
    NUMBER = "int"
    SWITCH = ""
    TEXTS = "stringArray"


class Flag(NamedTuple):
    """One flag. `choices` limits a text to some words; `show` replaces the kind's word in the help."""

    name: str
    kind: Kind
    help: str
    short: str = ""
    default: object = None
    choices: tuple[str, ...] = ()
    show: str = ""


class FlagMistake(ValueError):
    """The command line is wrong; the text is complete and meant for the user."""


class Parsed:
    """Values of the flags that were given; those that were not have their default."""

    __slots__ = ("_defaults", "_given", "words")

    def __init__(self, flags: Iterable[Flag]) -> None:
        self._defaults = {flag.name: flag.default for flag in flags}
        self._given: dict[str, object] = {}
        self.words: list[str] = []

    def given(self, name: str) -> bool:
        """Whether the flag stands on the command line."""
        return name in self._given

    def text(self, name: str) -> str:
        """Value of a TEXT flag; "" when neither given nor defaulted."""
        value = self._value(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Value of a NUMBER flag; 0 when neither given nor defaulted."""
        value = self._value(name)
        return value if isinstance(value, int) else 0

    def switch(self, name: str) -> bool:
        """Value of a SWITCH flag."""
        return self._value(name) is True

    def texts(self, name: str) -> list[str]:
        """Values of a TEXTS flag in the order given."""
        value = self._value(name)
        return list(value) if isinstance(value, list) else []

    def store(self, flag: Flag, text: str | None, spelled: str) -> None:
        """Convert and keep one occurrence; of a flag that does not repeat the last one counts. Raises FlagMistake."""
        shown = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
        if flag.kind is Kind.SWITCH:
            self._given[flag.name] = _switch(text, shown)
            return
        if text is None:
            raise FlagMistake(f"flag needs an argument: {spelled}")
        if flag.kind is Kind.NUMBER:
            self._given[flag.name] = _number(text, shown)
        elif flag.kind is Kind.TEXTS:
            earlier = self._given.setdefault(flag.name, [])
            assert isinstance(earlier, list)
            earlier.append(text)
        else:
            if flag.choices and text not in flag.choices:
                reason = f"{text} is not one of required values of {', '.join(flag.choices)}"
                raise FlagMistake(f'invalid argument "{text}" for "{shown}" flag: {reason}')
            self._given[flag.name] = text

    def _value(self, name: str) -> object:
        return self._given.get(name, self._defaults[name])


def parse(arguments: Sequence[str], flags: Sequence[Flag]) -> Parsed:
    """Read flags and other words in any order; `--` ends the flags. Raises FlagMistake."""
    parsed = Parsed(flags)
    by_name = {flag.name: flag for flag in flags}
    by_short = {flag.short: flag for flag in flags if flag.short}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            parsed.words += rest
            break
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            found = by_name.get(name)
            if found is None:
                raise FlagMistake(f"unknown flag: --{name}")
            parsed.store(found, value if equals else _next(found, rest), f"--{name}")
        elif argument.startswith("-") and len(argument) > 1:
            _shorts(argument, by_short, rest, parsed)
        else:
            parsed.words.append(argument)
    return parsed


def help_lines(flags: Sequence[Flag]) -> str:
    """The flags as a help text lists them, one line each, sorted by name."""
    rows = []
    for flag in sorted(flags, key=lambda flag: flag.name):
        left = f"  -{flag.short}, " if flag.short else "      "
        left += f"--{flag.name} {flag.show or flag.kind.value}".rstrip()
        default = f" (default {flag.default})" if flag.default not in (None, "", False) else ""
        rows.append((left, flag.help + default))
    width = max(len(left) for left, _ in rows) + 3
    return "\n".join(f"{left.ljust(width)}{text}" for left, text in rows)


def _shorts(argument: str, by_short: dict[str, Flag], rest: list[str], parsed: Parsed) -> None:
    """`-p 1`, `-p1`, `-p=1`, and switches in a row."""
    position = 1
    while position < len(argument):
        letter = argument[position]
        flag = by_short.get(letter)
        if flag is None:
            raise FlagMistake(f"unknown shorthand flag: '{letter}' in {argument}")
        attached = argument[position + 1 :]
        spelled = f"'{letter}' in {argument}"
        if attached.startswith("="):
            parsed.store(flag, attached[1:], spelled)
            return
        if flag.kind is Kind.SWITCH:
            parsed.store(flag, None, spelled)
            position += 1
            continue
        parsed.store(flag, attached or _next(flag, rest), spelled)
        return


def _next(flag: Flag, rest: list[str]) -> str | None:
    """The following argument, whatever it looks like; a switch takes none."""
    return rest.pop(0) if rest and flag.kind is not Kind.SWITCH else None


def _switch(text: str | None, shown: str) -> bool:
    if text is None or text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise FlagMistake(f'invalid argument "{text}" for "{shown}" flag: not a truth value')


def _number(text: str, shown: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise FlagMistake(f'invalid argument "{text}" for "{shown}" flag: not a number')
    return int(text)
