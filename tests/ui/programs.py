"""The programs that these tests need and no package index brings: Chromium, the Web UI's server, its built files.

What is missing skips the tests, with the reason; nothing is fetched here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

UI_MODULE = "github.com/temporalio/ui-server/v2@v2.54.1"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser: `$CHROMIUM`, or the one on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)


def ui_server() -> str | None:
    """The Web UI's server: `make ui-test` puts it beside this interpreter."""
    beside = Path(sys.executable).with_name("temporal-ui-server")
    return str(beside) if beside.exists() else shutil.which("temporal-ui-server")


def ui_assets() -> Path | None:
    """The Web UI's built files, in Go's module cache once the server was built there."""
    go = shutil.which("go") or (found if Path(found := "/usr/local/go/bin/go").exists() else None)
    if go is None:
        return None
    cache = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=False).stdout.strip()
    assets = Path(cache) / UI_MODULE / "ui" / "assets" / "local"
    return assets if (assets / "index.html").exists() else None


def missing() -> str:
    """Why the tests cannot run; "" when they can."""
    if chromium() is None:
        return "no Chromium on the path (Debian: apt-get install --no-install-recommends chromium)"
    if ui_server() is None:
        return f"no temporal-ui-server: `make ui-test` builds it with Go ({UI_MODULE})"
    return ""
