"""What `perdure server start-dev` was asked to do, as plain values; parsing them is the command line's business.

Importing this must stay cheap: it lies on the way from the shell to the first answered request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DEV_DYNAMIC_CONFIG: Final[Mapping[str, object]] = {
    "system.forceSearchAttributesCacheRefreshOnRead": True,
    "system.forceNexusEndpointRefreshOnRead": True,
    "frontend.namespaceRPS.visibility": 100,
    "history.enableStandaloneActivityOperatorCommands": True,
    "frontend.enableBatchOperationsForStandaloneActivities": True,
}
"""What Temporal's dev server sets unless the command line says otherwise."""


@dataclass(frozen=True, slots=True)
class DevServerOptions:
    """Ports are 0 .. 65535; 0 means a free one for HTTP and metrics, and `port` + 1000 for the UI."""

    ip: str = "127.0.0.1"
    port: int = 7233
    http_port: int = 0
    metrics_port: int = 0
    ui_ip: str = ""
    ui_port: int = 0
    ui_port_given: bool = False
    ui_public_path: str = ""
    ui_asset_path: str = ""
    ui_codec_endpoint: str = ""
    ui_disable_news_fetch: bool = False
    headless: bool = False
    db_filename: str | None = None
    """None keeps everything in memory."""
    namespaces: tuple[str, ...] = ("default",)
    """In the order given, `default` first and always there."""
    search_attributes: dict[str, str] = field(default_factory=dict)
    """Name to type, in the spelling Text, Keyword, Int, Double, Bool, Datetime or KeywordList."""
    dynamic_config: dict[str, object] = field(default_factory=dict)
    """Raw values by key, the dev server's own defaults included (`with_dev_defaults`)."""
    sqlite_pragmas: dict[str, str] = field(default_factory=dict)
    log_config: bool = False
    log_level: str = "warn"
    """debug, info, warn, error, fatal or never."""
    log_format: str = "text"
    """text or json."""
    log_level_given: bool = False


def with_dev_defaults(given: Mapping[str, object]) -> dict[str, object]:
    """The dev server's settings under those given; keys compare without regard to case."""
    folded = {key.lower() for key in given}
    return {**{key: value for key, value in DEV_DYNAMIC_CONFIG.items() if key.lower() not in folded}, **given}


def shown(ip: str, port: int) -> str:
    """An address as people type it."""
    host = "localhost" if ip in ("127.0.0.1", "::1") else f"[{ip}]" if ":" in ip else ip
    return f"{host}:{port}"


def addresses(options: DevServerOptions, http_port: int) -> tuple[tuple[str, str], ...]:
    """What listens, and where; `http_port` is the port that the HTTP API got."""
    ui = f"http://{shown(options.ui_ip or options.ip, options.ui_port)}{options.ui_public_path}"
    return (
        ("Server", shown(options.ip, options.port)),
        ("HTTP", shown(options.ip, http_port)),
        *(() if options.headless else (("UI", ui),)),
    )


def banner(options: DevServerOptions, version: str, http_port: int) -> str:
    """What is printed once the server answers, in the shape of Temporal's dev server."""
    server, *others = addresses(options, http_port)
    rows = (server, ("Persistence", options.db_filename or "in-memory"), *others)
    return "\n".join((f"Perdure {version}", "", *(f"{f'Perdure {name}:':<21} {value}" for name, value in rows)))
