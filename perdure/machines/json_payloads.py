"""Payloads that the server writes itself: JSON, with the metadata by which SDKs and search attributes know it."""

from __future__ import annotations

import json

from perdure.api import common


def text(value: str) -> common.Payload:
    """A text, as an SDK would have encoded it."""
    return common.Payload(metadata={"encoding": b"json/plain"}, data=compact(value))


def keyword(value: str) -> bytes:
    """A search attribute of one keyword, serialized."""
    return _attribute(b"Keyword", value)


def keyword_list(values: list[str]) -> bytes:
    """A search attribute of several keywords, serialized."""
    return _attribute(b"KeywordList", values)


def compact(value: str | list[str]) -> bytes:
    """JSON without a space that nobody asked for."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _attribute(kind: bytes, value: str | list[str]) -> bytes:
    payload = common.Payload(metadata={"encoding": b"json/plain", "type": kind}, data=compact(value))
    return payload.SerializeToString(deterministic=True)
