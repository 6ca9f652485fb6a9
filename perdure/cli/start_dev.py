"""`perdure server start-dev`: the command line of Temporal's dev server, turned into `DevServerOptions`.

It checks what can be checked before anything is imported or opened, so that mistakes show at once and with the words
that SDK harnesses look for, and then hands over to `perdure.app`. It must not know how the server is built.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from dataclasses import asdict
from typing import Final

from perdure.cli.flags import Flag, Kind, Parsed
from perdure.config.devserver import DevServerOptions, with_dev_defaults
from perdure.config.without_effect import WITHOUT_EFFECT

DESCRIPTION: Final = "Run a development server on this machine. It asks nobody who they are: not for production."

FLAGS: Final = (
    Flag("db-filename", Kind.TEXT, "Path to a file for persistent state; without it all is lost at exit.", "f"),
    Flag("namespace", Kind.TEXTS, 'Namespaces to create at start; "default" always is.', "n"),
    Flag("port", Kind.NUMBER, "Port of the gRPC service.", "p", 7233),
    Flag("http-port", Kind.NUMBER, "Port of the HTTP API; a free one unless given."),
    Flag("metrics-port", Kind.NUMBER, "Port of /metrics; a free one unless given."),
    Flag("ui-port", Kind.NUMBER, "Port of the Web UI; --port plus 1000 unless given."),
    Flag("headless", Kind.SWITCH, "No Web UI."),
    Flag("ip", Kind.TEXT, "Address to listen on.", default="localhost"),
    Flag("ui-ip", Kind.TEXT, "Address the Web UI listens on; --ip unless given."),
    Flag("ui-public-path", Kind.TEXT, "Public path of the Web UI."),
    Flag("ui-asset-path", Kind.TEXT, "Path of own assets for the Web UI."),
    Flag("ui-codec-endpoint", Kind.TEXT, "Remote codec for the Web UI."),
    Flag("ui-disable-news-fetch", Kind.SWITCH, "No news in the Web UI."),
    Flag("sqlite-pragma", Kind.TEXTS, "SQLite pragma, may be repeated.", show="PRAGMA=VALUE"),
    Flag("dynamic-config-value", Kind.TEXTS, "Dynamic configuration, values are JSON.", show="KEY=VALUE"),
    Flag("search-attribute", Kind.TEXTS, "Search attribute to register, may be repeated.", show="KEY=TYPE"),
    Flag("log-config", Kind.SWITCH, "Print the configuration to standard error."),
)

SEARCH_ATTRIBUTE_TYPES: Final = ("Text", "Keyword", "Int", "Double", "Bool", "Datetime", "KeywordList")
NOT_SERVED: Final = {
    "/metrics": ("metrics-port",),
}
"""What is not built yet, by the flags that ask for it."""
_PORT_MAX: Final = 65535


class BadOption(ValueError):
    """A flag's value makes no sense; the text is complete."""


def run(parsed: Parsed) -> int:
    """Check, then serve until a signal; the exit status."""
    try:
        options = options_of(parsed)
        check_ports(options)
    except BadOption as mistake:
        print(f"Error: {mistake}", file=sys.stderr)
        return 1
    for feature, flags in NOT_SERVED.items():
        asked = [f"--{flag}" for flag in flags if parsed.given(flag)]
        if asked:
            print(f"{feature} is not served by this version: {', '.join(asked)} has no effect", file=sys.stderr)
    for key in _dynamic_config(parsed.texts("dynamic-config-value")):
        if key.lower() in WITHOUT_EFFECT:
            print(f"dynamic config {key} has no effect in this version", file=sys.stderr)
    if options.log_config:
        print(json.dumps(asdict(options), indent=2), file=sys.stderr)
    from perdure.app import run_dev_server

    return run_dev_server(options)


def options_of(parsed: Parsed) -> DevServerOptions:
    """The options that the flags mean. Raises BadOption."""
    ip = _friendly(parsed.text("ip"))
    level = parsed.text("log-level")
    return DevServerOptions(
        ip=ip,
        port=_port(parsed, "port"),
        http_port=_port(parsed, "http-port"),
        metrics_port=_port(parsed, "metrics-port"),
        ui_ip=_friendly(parsed.text("ui-ip")) or ip,
        ui_port=_port(parsed, "ui-port") or min(parsed.number("port") + 1000, _PORT_MAX),
        ui_port_given=parsed.number("ui-port") != 0,
        ui_public_path=_public_path(parsed.text("ui-public-path")),
        ui_asset_path=_asset_path(parsed.text("ui-asset-path")),
        ui_codec_endpoint=parsed.text("ui-codec-endpoint"),
        ui_disable_news_fetch=parsed.switch("ui-disable-news-fetch"),
        headless=parsed.switch("headless"),
        db_filename=_database(parsed.text("db-filename")),
        namespaces=tuple(dict.fromkeys(("default", *parsed.texts("namespace")))),
        search_attributes=_search_attributes(parsed.texts("search-attribute")),
        dynamic_config=with_dev_defaults(_dynamic_config(parsed.texts("dynamic-config-value"))),
        sqlite_pragmas=_pairs(parsed.texts("sqlite-pragma"), "invalid pragma"),
        log_config=parsed.switch("log-config"),
        log_level=level or "warn",
        log_format="json" if parsed.text("log-format") == "json" else "text",
        log_level_given=bool(level),
    )


def check_ports(options: DevServerOptions) -> None:
    """Refuse ports that somebody listens on, before the server's parts are loaded. Raises BadOption.

    Ports in TIME_WAIT are free: SDKs have just closed the one that they pass.
    """
    if options.port == 0:
        raise BadOption("failed starting server: missing frontend port")
    wanted = (("frontend", options.port), ("frontend HTTP", options.http_port), ("metrics", options.metrics_port))
    for name, port in wanted:
        if port:
            _check_port(f"set {name} port {port}", options.ip, port)
    if not options.headless:
        default = f"use default UI port {options.ui_port} ({options.port} + 1000)"
        wish = f"set UI port {options.ui_port}" if options.ui_port_given else default
        _check_port(wish, options.ui_ip, options.ui_port)


def _check_port(wish: str, ip: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
            probe.listen(1)
        except OSError as refused:
            busy = refused.errno == errno.EADDRINUSE
            reason = "bind: address already in use" if busy else (refused.strerror or str(refused)).lower()
            shown = f"[{ip}]" if ":" in ip else ip
            raise BadOption(f"can't {wish}: listen tcp {shown}:{port}: {reason}") from refused


def _friendly(ip: str) -> str:
    return "127.0.0.1" if ip == "localhost" else ip.strip("[]")


def _port(parsed: Parsed, flag: str) -> int:
    port = parsed.number(flag)
    if not 0 <= port <= _PORT_MAX:
        raise BadOption(f"--{flag}: {port} is not a port")
    return port


def _public_path(path: str) -> str:
    """A prefix of paths: "" or one that begins with a slash and ends without."""
    path = path.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._~/-]*", path):
        raise BadOption(f"--ui-public-path: {path} is no path")
    return path and f"/{path}"


def _asset_path(folder: str) -> str:
    if folder and not os.path.isfile(os.path.join(folder, "index.html")):
        raise BadOption(f"--ui-asset-path: there is no index.html in {folder}")
    return folder


def _database(filename: str) -> str | None:
    if not filename:
        return None
    if "://" in filename:
        # Not shown: such an address may hold a password.
        raise BadOption("--db-filename: an address is no file, and this version serves SQLite files only")
    folder = os.path.dirname(filename) or "."
    if not os.path.isdir(folder):
        missing = f"stat {folder}: no such file or directory"
        raise BadOption(f"failed starting server: failed checking dir for database file: {missing}")
    return filename


def _pairs(texts: list[str], what: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadOption(f"{what}: missing expected '=' in \"{text}\"")
        pairs[key] = value
    return pairs


def _search_attributes(texts: list[str]) -> dict[str, str]:
    spelled = {kind.lower(): kind for kind in SEARCH_ATTRIBUTE_TYPES}
    attributes = {}
    for name, kind in _pairs(texts, "invalid search attributes").items():
        if kind.lower() not in spelled:
            raise BadOption(f'invalid search attribute value type "{kind}"')
        attributes[name] = spelled[kind.lower()]
    return attributes


def _dynamic_config(texts: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, text in _pairs(texts, "invalid dynamic config values").items():
        try:
            values[key] = json.loads(text, parse_constant=_not_json)
        except ValueError as wrong:
            reason = f'invalid JSON value for key "{key}": {wrong} (values are JSON, text needs its quotes: "text")'
            raise BadOption(f"invalid dynamic config values: {reason}") from wrong
    return values


def _not_json(word: str) -> object:
    raise ValueError(f"{word} is not JSON")
