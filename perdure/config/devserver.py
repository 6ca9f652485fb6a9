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


def banner(options: DevServerOptions, version: str) -> str:
    """What is printed once the server answers, in the shape of Temporal's dev server."""
    local = options.ip in ("127.0.0.1", "::1")
    host = "localhost" if local else f"[{options.ip}]" if ":" in options.ip else options.ip
    kept = options.db_filename or "in-memory"
    rows = (("Perdure Server:", f"{host}:{options.port}"), ("Perdure Persistence:", kept))
    return "\n".join((f"Perdure {version}", "", *(f"{label:<21} {value}" for label, value in rows)))
