"""The tree of commands: which words name which function, the flags that all share, and the help texts.

A new command is a row in `COMMANDS` and a module with `FLAGS` and `run`, if need be with `ARGUMENTS` (the names of the
words that follow it) and `REQUIRED` (flags that must be given). Modules are imported by name when their words
are there, so a row costs nothing to the others.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final, NamedTuple

from perdure import __version__
from perdure.cli.flags import Flag, FlagMistake, Kind, Parsed, help_lines, parse


class Command(NamedTuple):
    """A command's words, what help says of it, and the module with its `FLAGS` and `run(parsed) -> int`."""

    words: tuple[str, ...]
    summary: str
    module: str


COMMANDS: Final = (
    Command(("server", "start-dev"), "Start a development server", "perdure.cli.start_dev"),
    Command(("admin", "check"), "Check the integrity of a store", "perdure.cli.admin_check"),
    Command(("admin", "stats"), "Count what a store holds", "perdure.cli.admin_stats"),
    Command(("admin", "export-history"), "Print a run's history as JSON", "perdure.cli.admin_export_history"),
    Command(("admin", "dump"), "Print the stored state of an entity", "perdure.cli.admin_dump"),
    Command(("admin", "explain"), "Say what an execution waits for", "perdure.cli.admin_explain"),
)  # fmt: skip

_LEVELS: Final = ("debug", "info", "warn", "error", "fatal", "never")

GLOBAL_FLAGS: Final = (
    Flag("help", Kind.SWITCH, "Help for the command.", "h"),
    Flag("log-level", Kind.TEXT, "Log level.", choices=_LEVELS),
    Flag("log-format", Kind.TEXT, "Log format.", default="text", choices=("text", "json", "pretty")),
    Flag("output", Kind.TEXT, "Format of data.", "o", "text", ("text", "json", "jsonl", "none")),
    Flag("color", Kind.TEXT, "Colouring of output.", default="auto", choices=("always", "never", "auto")),
    Flag("time-format", Kind.TEXT, "Format of times.", default="relative", choices=("relative", "iso", "raw")),
    Flag("env", Kind.TEXT, "Environment of the old settings file.", default="default"),
    Flag("env-file", Kind.TEXT, "Path of the old settings file."),
    Flag("profile", Kind.TEXT, "Profile of the settings file."),
    Flag("config-file", Kind.TEXT, "Path of the settings file."),
    Flag("disable-config-file", Kind.SWITCH, "Read no settings file."),
    Flag("disable-config-env", Kind.SWITCH, "Read no settings from the environment."),
    Flag("command-timeout", Kind.TEXT, "Limit for the whole command.", show="duration"),
    Flag("client-connect-timeout", Kind.TEXT, "Limit for connecting.", show="duration"),
    Flag("no-json-shorthand-payloads", Kind.SWITCH, "Raw payloads in JSON."),
)


def run(arguments: list[str]) -> int:
    """Find the command, parse its flags, run it; 1 for a wrong command line."""
    before, words, after = _split(arguments)
    command = next((row for row in COMMANDS if row.words == words), None)
    if command is None:
        return _without_command(words, [*before, *after])
    module = importlib.import_module(command.module)
    flags: tuple[Flag, ...] = (*module.FLAGS, *GLOBAL_FLAGS)
    arguments_wanted: tuple[str, ...] = getattr(module, "ARGUMENTS", ())
    usage = " ".join(("perdure", *command.words, *arguments_wanted))
    try:
        parsed = parse([*before, *after], flags)
        if parsed.switch("help"):
            print(f"{module.DESCRIPTION}\n\nUsage:\n  {usage} [flags]\n\nFlags:\n{help_lines(module.FLAGS)}\n")
            print(f"Global flags:\n{help_lines(GLOBAL_FLAGS)}")
            return 0
        _check_words(parsed, arguments_wanted, getattr(module, "REQUIRED", ()), usage)
    except FlagMistake as mistake:
        print(f"Error: {mistake}\nUsage:\n  {usage} [flags]\n", file=sys.stderr)
        return 1
    status: int = module.run(parsed)
    return status


def _check_words(parsed: Parsed, wanted: tuple[str, ...], required: tuple[str, ...], usage: str) -> None:
    """The words behind the command, and the flags that it cannot do without. Raises FlagMistake."""
    if len(parsed.words) > len(wanted):
        raise FlagMistake(f'unknown command "{parsed.words[len(wanted)]}" for "{usage}"')
    if len(parsed.words) < len(wanted):
        raise FlagMistake(f"{wanted[len(parsed.words)]} is missing")
    missing = [name for name in required if not parsed.text(name)]
    if missing:
        raise FlagMistake("required flag(s) " + ", ".join([f'"{name}"' for name in missing]) + " not set")


def _split(arguments: list[str]) -> tuple[list[str], tuple[str, ...], list[str]]:
    """Global flags before the command, the command's words, and what follows them."""
    valued = {flag.name for flag in GLOBAL_FLAGS if flag.kind is not Kind.SWITCH}
    valued_short = {flag.short for flag in GLOBAL_FLAGS if flag.short and flag.kind is not Kind.SWITCH}
    before: list[str] = []
    words: tuple[str, ...] = ()
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if any(row.words == words for row in COMMANDS):
            break
        if not argument.startswith("-"):
            longer = (*words, argument)
            if not any(row.words[: len(longer)] == longer for row in COMMANDS):
                break
            words = longer
        else:
            before.append(argument)
            takes_next = argument[2:] in valued if argument.startswith("--") else argument[1:] in valued_short
            if takes_next and position + 1 < len(arguments):
                position += 1
                before.append(arguments[position])
        position += 1
    return before, words, arguments[position:]


def _without_command(words: tuple[str, ...], arguments: list[str]) -> int:
    """`--version`, help for a group of commands, or a complaint."""
    flags = (*GLOBAL_FLAGS, Flag("version", Kind.SWITCH, "Version of perdure.", "v"))
    name = " ".join(("perdure", *words))
    try:
        parsed = parse(arguments, flags)
    except FlagMistake as mistake:
        print(f"Error: {mistake}\nUsage:\n  {name} [command]\n", file=sys.stderr)
        return 1
    if parsed.switch("version"):
        print(f"perdure version {__version__}")
        return 0
    if parsed.words:
        print(f'Error: unknown command "{parsed.words[0]}" for "{name}"', file=sys.stderr)
        return 1
    print(f"A durable-execution server that speaks the Temporal API.\n\nUsage:\n  {name} [command]\n\nCommands:")
    for row in COMMANDS:
        if row.words[: len(words)] == words:
            print(f"  {' '.join(row.words[len(words) :]).ljust(20)} {row.summary}")
    print(f"\nGlobal flags:\n{help_lines(flags)}")
    if parsed.switch("help") or not words:
        return 0
    print("Error: unknown command", file=sys.stderr)
    return 1
