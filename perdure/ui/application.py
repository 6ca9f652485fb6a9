"""The application of `--ui-port`: what the Web UI's own server adds to the HTTP API, and pages for people.

`/api/v1` with payloads in their long form, `settings`, a whole history as one streamed download, `/healthz`. With a
folder of the Web UI's built files it serves the Web UI itself; without one, a page that says what runs here and how to
attach the Web UI. Everything about the server's state is asked through the same dispatch as every other call.
"""

from __future__ import annotations

import re
import stat
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from perdure.api import HttpRule, Method, history, method_table, workflowservice
from perdure.api.json_write import to_json
from perdure.api.methods import WORKFLOW_PATH
from perdure.errors import StatusCode
from perdure.transport.calls import Peer
from perdure.transport.client import RpcError
from perdure.transport.http_headers import BadHeader, metadata_of
from perdure.transport.http_json import CALL_S_MAX, FOR_THE_UI, JsonGateway, failed, raw_path, send_answer
from perdure.transport.http_routes import BadPath, Routes
from perdure.transport.inline import IN_PROCESS, Dispatch, call_inline
from perdure.transport.metadata import Metadata
from perdure.ui.landing import Facts, landing_page

UI_VERSION: Final = "2.54.1"
"""The release of the Web UI whose server this stands in for."""

API: Final = "/api/v1/"
GZIP_BYTES_MIN: Final = 1_400
"""Shorter answers fit into a packet as they are."""
PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
SWITCHED_OFF: Final = (
    "DisableWriteActions",
    "WorkflowTerminateDisabled",
    "WorkflowCancelDisabled",
    "WorkflowSignalDisabled",
    "WorkflowUpdateDisabled",
    "WorkflowResetDisabled",
    "WorkflowPauseDisabled",
    "BatchActionsDisabled",
    "StartWorkflowDisabled",
    "HideWorkflowQueryErrors",
    "RefreshWorkflowCountsDisabled",
    "ActivityCommandsDisabled",
)
"""What an installation could take away from the Web UI; nothing is."""

_HISTORY: Final = Routes(
    [HttpRule("", "GET", "/api/v1/namespaces/{namespace}/workflows/{workflow}/run/{run}/history.json", "", "")]
)
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class UiOptions:
    """What the command line says about the UI."""

    public_path: str = ""
    """Prefix of every path, "" or "/something"."""
    asset_path: str = ""
    """A folder with the Web UI's `index.html` and its files."""
    codec_endpoint: str = ""
    disable_news_fetch: bool = False


def ui_application(gateway: JsonGateway, dispatch: Dispatch, facts: Facts, options: UiOptions) -> ASGIApp:
    """The application, compressed where it pays. Raises OSError when the assets cannot be read."""
    return GZipMiddleware(_Ui(gateway, dispatch, facts, options), minimum_size=GZIP_BYTES_MIN)


@final
class _Ui:
    def __init__(self, gateway: JsonGateway, dispatch: Dispatch, facts: Facts, options: UiOptions) -> None:
        self._gateway = gateway
        self._dispatch = dispatch
        self._facts = facts
        self._options = options
        self._index = ""
        self._files: StaticFiles | None = None
        if options.asset_path:
            self._index = index_page(Path(options.asset_path), options.public_path)
            self._files = StaticFiles(directory=options.asset_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", scope["type"]
        prefix = self._options.public_path
        path = raw_path(scope)
        if prefix and path != "/healthz":
            if path != prefix and not path.startswith(prefix + "/"):
                await RedirectResponse(prefix + "/")(scope, receive, send)
                return
            scope = {**scope, "root_path": prefix}
            path = raw_path(scope)
        refused = self._gateway.refused_host(scope)
        if refused is not None:
            await send_answer(send, refused)
        elif path == "/healthz":
            await JSONResponse({"status": "OK"})(scope, receive, send)
        elif path.startswith(API):
            await self._api(path, scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await Response(status_code=405)(scope, receive, send)
        elif self._files is not None:
            await self._page(path, self._files, scope, receive, send)
        else:
            await self._landing(path, scope, receive, send)

    async def _api(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET" and path == API + "settings":
            await JSONResponse(self._settings())(scope, receive, send)
            return
        try:
            match = _HISTORY.find(scope["method"], path)
        except BadPath:
            match = None
        if match is None:
            await self._gateway(scope, receive, send)
            return
        try:
            response = await self._history(dict(match.variables), self._metadata(scope), _peer(scope))
        except BadHeader as wrong:
            response = JSONResponse({"code": int(StatusCode.INVALID_ARGUMENT), "message": str(wrong)}, 400)
        await response(scope, receive, send)

    async def _landing(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            html = await landing_page(self._dispatch, self._metadata(scope), self._facts)
        except BadHeader:
            await Response(status_code=400)(scope, receive, send)
            return
        status = 200 if path in ("", "/") else 404
        await HTMLResponse(html, status, PAGE_HEADERS)(scope, receive, send)

    async def _page(self, path: str, files: StaticFiles, scope: Scope, receive: Receive, send: Send) -> None:
        """A file of the Web UI, or its one page, which finds its way from the path."""
        try:
            full, found = files.lookup_path(path.removeprefix("/"))
        except (OSError, ValueError):
            # No file has such a name.
            full, found = "", None
        if found is not None and stat.S_ISREG(found.st_mode):
            response = files.file_response(full, found, scope)
        else:
            response = HTMLResponse(self._index, headers={"cache-control": "no-cache"})
        await response(scope, receive, send)

    def _metadata(self, scope: Scope) -> Metadata:
        client = scope.get("client")
        return metadata_of(scope["headers"], client[0] if client else "", self._facts.server_version)

    def _settings(self) -> dict[str, Any]:
        """What the Web UI asks for first; nothing is switched off, and nobody has to log in."""
        return {
            "Auth": {"Enabled": False, "Options": None, "RedirectToProvider": False},
            "DefaultNamespace": "",
            "ShowTemporalSystemNamespace": False,
            "NavCollapsedByDefault": False,
            "FeedbackURL": "",
            "DisableNewsFetch": self._options.disable_news_fetch,
            "Codec": {
                "Endpoint": self._options.codec_endpoint,
                "PassAccessToken": False,
                "IncludeCredentials": False,
                "DefaultErrorMessage": "",
                "DefaultErrorLink": "",
            },
            "Version": UI_VERSION,
            **dict.fromkeys(SWITCHED_OFF, False),
        }

    async def _history(self, where: dict[str, str], metadata: Metadata, peer: Peer) -> Response:
        """All events as one list. What fails before the first event is an error with its status."""
        request = workflowservice.GetWorkflowExecutionHistoryRequest(namespace=where["namespace"])
        request.execution.workflow_id = where["workflow"]
        request.execution.run_id = where["run"]
        method = method_table()[WORKFLOW_PATH + "GetWorkflowExecutionHistory"]
        try:
            first = await call_inline(self._dispatch, method, request, metadata, peer, CALL_S_MAX)
        except RpcError as error:
            answer = failed(error, FOR_THE_UI)
            return Response(answer.body, answer.status, media_type=answer.content_type)
        pages = self._pages(first, method, request, metadata, peer)
        return StreamingResponse(_event_list(pages), media_type="application/json")

    async def _pages(
        self, page: Any, method: Method, request: Any, metadata: Metadata, peer: Peer
    ) -> AsyncIterator[list[history.HistoryEvent]]:
        """Page by page, as fast as the client reads. An error ends the connection: half a list is no JSON."""
        yield page.history.events
        while page.next_page_token:
            request.next_page_token = page.next_page_token
            page = await call_inline(self._dispatch, method, request, metadata, peer, CALL_S_MAX)
            yield page.history.events


async def _event_list(pages: AsyncIterator[list[history.HistoryEvent]]) -> AsyncIterator[bytes]:
    opening = b"["
    async for page in pages:
        for event in page:
            yield opening + to_json(event, shorthand=False)
            opening = b",\n"
    yield b"]" if opening != b"[" else b"[]"


def _peer(scope: Scope) -> Peer:
    client = scope.get("client")
    return Peer(f"{client[0]}:{client[1]}", False, None) if client else IN_PROCESS


def index_page(folder: Path, public_path: str) -> str:
    """The Web UI's page, told under which prefix it lives. Raises OSError.

    The page allows its own inline script by hash, so a changed script needs its new hash.
    """
    page = (folder / "index.html").read_text(encoding="utf-8")
    if not public_path:
        return page
    before = _INLINE_SCRIPT.findall(page)
    page = page.replace('base: ""', f'base: "{public_path}"').replace('"/_app/', f'"{public_path}/_app/')
    for old, new in zip(before, _INLINE_SCRIPT.findall(page), strict=True):
        page = page.replace(_script_hash(old), _script_hash(new))
    return page


def _script_hash(script: str) -> str:
    """As a content security policy names it."""
    return "sha256-" + b64encode(sha256(script.encode()).digest()).decode()
