"""HTTP requests that leave the server: one pool of connections for everything, and a bound on every answer.

The library is imported with the first request, off the event loop, for few servers ever make one. Where a request may
go was decided when its address was registered; redirects are not followed, or that decision would mean nothing.
"""

from __future__ import annotations

import asyncio
import errno
import json
from typing import TYPE_CHECKING, Final, final

from perdure import __version__
from perdure.clock import SECOND
from perdure.config import dynamic as settings
from perdure.machines.workflow.invocations import HttpAnswer, NoAnswer, Outgoing

if TYPE_CHECKING:
    from types import ModuleType

    import aiohttp
    import yarl

    from perdure.config.dynamic import DynamicConfig

ANSWER_BYTES_MAX: Final = 1 << 20
"""How much of an answer's body is read. What is longer is cut off, with its connection."""
CONNECTIONS_MAX: Final = 512
IDLE_CONNECTION_S: Final = 30.0


@final
class Outside:
    """The outside world by HTTP, for one event loop."""

    def __init__(self, config: DynamicConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def post(self, namespace: str, destination: str, request: Outgoing) -> HttpAnswer:
        """Send a request and read its answer within `callback.request.timeout`. Raises NoAnswer."""
        session = await self._opened()
        import aiohttp

        limit = self._config.get(settings.CALLBACK_REQUEST_TIMEOUT, namespace, destination=destination) / SECOND
        headers = {"user-agent": f"perdure/{__version__}"} | request.headers
        try:
            async with session.post(
                _address(request.url, destination),
                data=request.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit),
            ) as response:
                body = await _bounded(response)
                return HttpAnswer(
                    response.status,
                    response.reason or "",
                    response.headers.get("content-type", ""),
                    response.headers.get("nexus-request-retryable", ""),
                    body,
                )
        except TimeoutError:
            raise _no_answer(request.url, "context deadline exceeded") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _no_answer(request.url, _problem(error)) from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                library = await asyncio.to_thread(_library)
                connector = library.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_CONNECTION_S)
                self._session = library.ClientSession(
                    connector=connector,
                    cookie_jar=library.DummyCookieJar(),
                    auto_decompress=False,
                    skip_auto_headers=("accept", "accept-encoding", "content-type"),
                )
            return self._session


def _library() -> ModuleType:
    import aiohttp

    return aiohttp


def _address(url: str, destination: str) -> yarl.URL:
    """The address as the library reads it. Raises ValueError where it reads another host than was checked."""
    from yarl import URL

    address = URL(url, encoded=True)
    checked = destination.partition("://")[2].rpartition("@")[2].lower()
    host = (address.raw_host or "").lower()
    host = f"[{host}]" if ":" in host else host
    if checked not in (host, f"{host}:", f"{host}:{address.port}"):
        raise ValueError("ambiguous host")
    return address


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    left = ANSWER_BYTES_MAX
    while left:
        part = await response.content.read(left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _no_answer(url: str, problem: str) -> NoAnswer:
    return NoAnswer(f"Post {json.dumps(_redacted(url))}: {problem}")


def _redacted(url: str) -> str:
    """The address without the password that it may hold: problems are shown to whoever may describe the workflow."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not at or ":" not in user:
        return url
    return f"{scheme}://{user.partition(':')[0]}:xxxxx@{host}{slash}{path}"


def _problem(error: Exception) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorError):
        host = f"{error.host}:{error.port}"
        if error.os_error.errno == errno.ECONNREFUSED:
            return f"dial tcp {host}: connect: connection refused"
        return f"dial tcp {host}: {error.os_error.strerror or error.os_error}"
    return str(error) or type(error).__name__
