"""`perdure server start-dev` takes the command line of Temporal's dev server (CONFORMANCE section 4)."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure import __version__
from perdure.cli import main
from perdure.cli.commands import GLOBAL_FLAGS
from perdure.cli.flags import parse
from perdure.cli.start_dev import FLAGS, BadOption, check_ports, options_of
from perdure.config.devserver import DevServerOptions, banner


def _options(*arguments: str) -> DevServerOptions:
    return options_of(parse(arguments, (*FLAGS, *GLOBAL_FLAGS)))


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port on which somebody listens, while nobody does on the one that has it for its default UI port."""
    while True:
        with socket.socket() as listener, socket.socket() as below:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = int(listener.getsockname()[1])
            try:
                below.bind(("127.0.0.1", port - 1000))
            except OSError:
                continue
            below.close()
            yield port
            return


def test_defaults() -> None:
    """Without a flag: this machine only, in memory, one namespace."""
    options = _options()
    assert (options.ip, options.port, options.http_port, options.metrics_port) == ("127.0.0.1", 7233, 0, 0)
    assert (options.ui_ip, options.ui_port, options.headless) == ("127.0.0.1", 8233, False)
    assert (options.db_filename, options.namespaces) == (None, ("default",))
    assert (options.log_level, options.log_format, options.log_level_given) == ("warn", "text", False)


def test_the_command_line_of_the_sdk_core(tmp_path: Path) -> None:
    """What Python, TypeScript, .NET and Ruby pass, in both spellings of a flag."""
    database = str(tmp_path / "x.db")
    options = _options(
        *("--port", "4711", "--namespace", "ns", "--ip", "0.0.0.0", "--log-format", "pretty", "--log-level", "fatal"),
        *("--dynamic-config-value", "frontend.enableServerVersionCheck=false"),
        *("--dynamic-config-value=limit.blobSize.error=10240", "--db-filename", database, "--ui-port", "4712"),
        *("--search-attribute", "Custom-1=keywordlist", "--search-attribute=b=Int", "--http-port=7243"),
        *("--sqlite-pragma", "journal_mode=wal", "-n", "default", "-n", "ns", "--log-config"),
    )
    assert (options.port, options.ip, options.ui_port, options.http_port) == (4711, "0.0.0.0", 4712, 7243)
    assert options.namespaces == ("default", "ns")
    assert (options.log_level, options.log_format) == ("fatal", "text")
    assert options.dynamic_config["frontend.enableServerVersionCheck"] is False
    assert options.dynamic_config["limit.blobSize.error"] == 10240
    assert options.dynamic_config["system.forceSearchAttributesCacheRefreshOnRead"] is True
    assert options.search_attributes == {"Custom-1": "KeywordList", "b": "Int"}
    assert options.sqlite_pragmas == {"journal_mode": "wal"}
    assert options.db_filename == database
    assert options.log_config


def test_dynamic_config_values_are_json() -> None:
    """Ints stay ints, strings are quoted, the value may hold an equals sign, the last of a key counts."""
    options = _options(
        *("--dynamic-config-value", 'a="x=y"', "--dynamic-config-value", "b=1", "--dynamic-config-value", "b=2"),
        *("--dynamic-config-value", 'c=[{"Pattern":"*"}]', "--dynamic-config-value", "d=1.5"),
    )
    found = {key: options.dynamic_config[key] for key in "abcd"}
    assert found == {"a": "x=y", "b": 2, "c": [{"Pattern": "*"}], "d": 1.5}
    assert type(found["b"]) is int


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--dynamic-config-value", "foo"], "invalid dynamic config values: missing expected '=' in \"foo\""),
        (["--dynamic-config-value", "foo=bar"], 'invalid dynamic config values: invalid JSON value for key "foo"'),
        (["--dynamic-config-value", "foo=NaN"], 'invalid dynamic config values: invalid JSON value for key "foo"'),
        (["--search-attribute", "a=Nope"], 'invalid search attribute value type "Nope"'),
        (["--search-attribute", "a"], "invalid search attributes: missing expected '=' in \"a\""),
        (["--sqlite-pragma", "foo"], "invalid pragma: missing expected '=' in \"foo\""),
        (["--port", "65536"], "--port: 65536 is not a port"),
        (["-f", "postgresql://me:secret@host/db"], "--db-filename: an address is no file, and this version serves"),
        (["-f", "missing/folder/x.db"], "failed starting server: failed checking dir for database file"),
    ],
)
def test_bad_values_are_refused_with_the_references_words(arguments: list[str], text: str) -> None:
    """Before anything is opened."""
    with pytest.raises(BadOption) as raised:
        _options(*arguments)
    assert str(raised.value).startswith(text)


def test_busy_ports_are_refused_at_once(busy_port: int) -> None:
    """Harnesses look for "address already in use"."""
    for flag, name in (("--port", "frontend"), ("--http-port", "frontend HTTP"), ("--metrics-port", "metrics")):
        arguments = [flag, str(busy_port)] if flag == "--port" else [flag, str(busy_port), "--port", "1025"]
        with pytest.raises(BadOption) as raised:
            check_ports(_options(*arguments))
        where = f"listen tcp 127.0.0.1:{busy_port}: bind: address already in use"
        assert str(raised.value) == f"can't set {name} port {busy_port}: {where}"


def test_port_zero_is_refused() -> None:
    """As the reference does: harnesses choose the port."""
    with pytest.raises(BadOption, match="missing frontend port"):
        check_ports(_options("--port", "0"))


def test_errors_end_with_status_one_and_a_line(busy_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, nothing on standard output."""
    assert main(["server", "start-dev", "--port", str(busy_port)]) == 1
    assert main(["--log-level", "warn", "server", "--color=never", "start-dev", "--nope"]) == 1
    assert main(["server", "start-dev", "extra"]) == 1
    assert main(["nope"]) == 1
    assert main(["server"]) == 1
    captured = capsys.readouterr()
    assert [line for line in captured.err.splitlines() if line.startswith("Error")] == [
        f"Error: can't set frontend port {busy_port}: listen tcp 127.0.0.1:{busy_port}: bind: address already in use",
        "Error: unknown flag: --nope",
        'Error: unknown command "extra" for "perdure server start-dev"',
        'Error: unknown command "nope" for "perdure"',
        "Error: unknown command",
    ]


def test_global_flags_stand_before_or_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A level that does not exist is refused in either place, so both were read."""
    assert main(["--log-level", "loud", "server", "start-dev"]) == 1
    assert main(["server", "start-dev", "--log-level", "loud"]) == 1
    assert capsys.readouterr().err.count("loud is not one of required values") == 2


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, on standard output."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"perdure version {__version__}\n"
    for arguments in ([], ["--help"], ["server", "--help"], ["server", "start-dev", "-h"]):
        assert main(arguments) == 0
        assert "start-dev" in capsys.readouterr().out


def test_every_flag_of_the_reference_is_known() -> None:
    """The list of server_inventory 6.3 and of the global flags."""
    known = {flag.name for flag in (*FLAGS, *GLOBAL_FLAGS)}
    assert known >= {
        *("db-filename", "namespace", "port", "http-port", "metrics-port", "ui-port", "headless", "ip", "ui-ip"),
        *("ui-public-path", "ui-asset-path", "ui-codec-endpoint", "ui-disable-news-fetch", "sqlite-pragma"),
        *("dynamic-config-value", "log-config", "search-attribute", "log-level", "log-format", "output", "color"),
        *("time-format", "env", "profile", "config-file"),
    }


def test_the_first_look_at_the_command_line_is_light() -> None:
    """No part of the server, no protobuf and no event loop is imported before the flags are found good."""
    script = (
        "import sys\nfrom perdure.cli import main\nassert main(['server', 'start-dev', '--port', '0']) == 1\n"
        "heavy = ('asyncio', 'google', 'msgspec', 'perdure.api', 'perdure.engine', 'perdure.store', 'logging')\n"
        "print(*[name for name in sys.modules if name.startswith(heavy)])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_banner_names_what_listens() -> None:
    """Friendly names, IPv6 in brackets, no address of what is not served."""
    assert banner(_options("--port", "7000", "--ui-public-path", "x/"), "1.0", 7001).splitlines()[2:] == [
        "Perdure Server:       localhost:7000",
        "Perdure Persistence:  in-memory",
        "Perdure HTTP:         localhost:7001",
        "Perdure UI:           http://localhost:8000/x",
    ]
    assert "[fe80::1]:7233" in banner(_options("--ip", "fe80::1"), "1.0", 1)
    assert "UI" not in banner(_options("--headless"), "1.0", 1)


def test_a_busy_ui_port_is_refused(busy_port: int) -> None:
    """Whether it was asked for or follows from --port; nobody asks when there is no UI."""
    where = f"listen tcp 127.0.0.1:{busy_port}: bind: address already in use"
    with pytest.raises(BadOption) as raised:
        check_ports(_options("--port", "1025", "--ui-port", str(busy_port)))
    assert str(raised.value) == f"can't set UI port {busy_port}: {where}"
    with pytest.raises(BadOption) as raised:
        check_ports(_options("--port", str(busy_port - 1000)))
    assert str(raised.value) == f"can't use default UI port {busy_port} ({busy_port - 1000} + 1000): {where}"
    check_ports(_options("--port", str(busy_port - 1000), "--headless"))


def test_bad_ui_flags(tmp_path: Path) -> None:
    """Are found before anything starts."""
    for flags in (["--ui-asset-path", str(tmp_path)], ["--ui-public-path", 'a"b']):
        with pytest.raises(BadOption):
            _options(*flags)
