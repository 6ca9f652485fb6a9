"""The page for people who open the UI's port: what runs here, and how to attach the Web UI.

It is rendered whole, without scripts and without anything from elsewhere. What it shows of the server it asks for as
its visitor, so it shows nobody more than the API would.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

import msgspec

from perdure.api import Message, method_table, workflowservice
from perdure.api.methods import WORKFLOW_PATH
from perdure.transport.client import RpcError
from perdure.transport.inline import IN_PROCESS, Dispatch, call_inline
from perdure.transport.metadata import Metadata

NAMESPACES_MAX: Final = 50
"""Namespaces on the page; the API lists them all."""
CALL_S: Final = 5.0
SHOWN: Final = ("Running", "Completed", "Failed")
SYSTEM_NAMESPACE: Final = "temporal-system"

_TEMPLATE: Final = Template(Path(__file__).with_name("landing.html").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the process knows of itself."""

    version: str
    """Perdure's."""
    server_version: str
    """The Temporal release whose API is served."""
    addresses: tuple[tuple[str, str], ...]
    """What listens, and where."""
    grpc_address: str
    """Host and port for SDKs, the CLI and the Web UI's server."""
    base: str
    """The URL of this page, without a slash at its end."""
    persistence: str
    """A database, or that there is none."""


@dataclass(frozen=True, slots=True)
class NamespaceLine:
    """One namespace; `counts` is None when they cannot be had."""

    name: str
    state: str
    counts: dict[str, int] | None


async def landing_page(dispatch: Dispatch, metadata: Metadata, facts: Facts) -> str:
    """The page as HTML."""
    lines, more = await _namespaces(dispatch, metadata)
    rows = "".join(_row(line) for line in lines) or '<tr><td colspan="5">They cannot be listed now.</td></tr>'
    addresses = "".join(f"<dt>{escape(name)}</dt><dd>{_linked(address)}</dd>" for name, address in facts.addresses)
    return _TEMPLATE.substitute(
        version=escape(facts.version),
        server_version=escape(facts.server_version),
        persistence=escape(facts.persistence),
        grpc_address=escape(facts.grpc_address),
        base=escape(facts.base),
        addresses=addresses,
        rows=rows,
        more="<p>There are more.</p>" if more else "",
    )


def _linked(address: str) -> str:
    text = escape(address)
    return f'<a href="{text}">{text}</a>' if address.startswith("http://") else f"<code>{text}</code>"


def _row(line: NamespaceLine) -> str:
    counts = line.counts
    if counts is None:
        cells = "<td>–</td>" * (len(SHOWN) + 1)
    else:
        rest = sum(counts.values()) - sum(counts.get(status, 0) for status in SHOWN)
        cells = "".join(f"<td>{number:,}</td>" for number in (*[counts.get(status, 0) for status in SHOWN], rest))
    note = "" if line.state == "Registered" else f" <small>{escape(line.state)}</small>"
    return f"<tr><th>{escape(line.name)}{note}</th>{cells}</tr>"


async def _namespaces(dispatch: Dispatch, metadata: Metadata) -> tuple[list[NamespaceLine], bool]:
    try:
        request = workflowservice.ListNamespacesRequest(page_size=NAMESPACES_MAX)
        listed = await _ask(dispatch, metadata, "ListNamespaces", request)
    except RpcError:
        return [], False
    shown = [one for one in listed.namespaces if one.namespace_info.name != SYSTEM_NAMESPACE]
    counts = await asyncio.gather(*(_counts(dispatch, metadata, one.namespace_info.name) for one in shown))
    states = ("Unspecified", "Registered", "Deprecated", "Deleted")
    lines = [
        NamespaceLine(one.namespace_info.name, states[one.namespace_info.state], count)
        for one, count in zip(shown, counts, strict=True)
    ]
    return lines, bool(listed.next_page_token)


async def _counts(dispatch: Dispatch, metadata: Metadata, namespace: str) -> dict[str, int] | None:
    """Workflow executions by status."""
    request = workflowservice.CountWorkflowExecutionsRequest(namespace=namespace, query="GROUP BY ExecutionStatus")
    try:
        counted = await _ask(dispatch, metadata, "CountWorkflowExecutions", request)
    except RpcError:
        return None
    return {msgspec.json.decode(group.group_values[0].data, type=str): group.count for group in counted.groups}


async def _ask(dispatch: Dispatch, metadata: Metadata, name: str, request: Message) -> Any:
    return await call_inline(dispatch, method_table()[WORKFLOW_PATH + name], request, metadata, IN_PROCESS, CALL_S)
