"""Finds the provider of a URI by its scheme, and is itself one: what a namespace names may be of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from perdure.api import workflow
from perdure.archival.api import ArchivedRun, BadUri, Matches, Place, Provider, Window


@final
class Providers:
    """Providers by scheme."""

    __slots__ = ("_by_scheme",)

    def __init__(self, by_scheme: Mapping[str, Provider]) -> None:
        self._by_scheme = by_scheme

    def check(self, uri: str) -> None:
        self._provider(uri).check(uri)

    async def keep_history(self, uri: str, run: ArchivedRun, body: bytes) -> None:
        await self._provider(uri).keep_history(uri, run, body)

    async def history(self, uri: str, run: ArchivedRun) -> bytes | None:
        return await self._provider(uri).history(uri, run)

    async def keep_record(self, uri: str, run: ArchivedRun, info: workflow.WorkflowExecutionInfo) -> None:
        await self._provider(uri).keep_record(uri, run, info)

    async def records(
        self, uri: str, namespace_id: str, matches: Matches, window: Window, limit: int, after: Place | None
    ) -> list[workflow.WorkflowExecutionInfo]:
        return await self._provider(uri).records(uri, namespace_id, matches, window, limit, after)

    def _provider(self, uri: str) -> Provider:
        scheme, separator, _ = uri.partition(":")
        if not separator or not scheme:
            raise BadUri(f'parse "{uri}": invalid URI for request')
        found = self._by_scheme.get(scheme)
        if found is None:
            raise BadUri(f"no archiver is configured for the scheme {scheme}")
        return found
