"""Payloads that the server writes itself: JSON, with the metadata by which SDKs and search attributes know it."""

from __future__ import annotations

import json

from perdure.api import common

Value = str | int | float | bool | list[str]


def text(value: str) -> common.Payload:
    """A text, as an SDK would have encoded it."""
    return common.Payload(metadata={"encoding": b"json/plain"}, data=compact(value))


def attribute(kind: str, value: Value) -> common.Payload:
    """A search attribute of a type, by its name: "Keyword"."""
    return common.Payload(metadata={"encoding": b"json/plain", "type": kind.encode()}, data=compact(value))


def keyword(value: str) -> bytes:
    """A search attribute of one keyword, serialized."""
    return attribute("Keyword", value).SerializeToString(deterministic=True)


def keyword_list(values: list[str]) -> bytes:
    """A search attribute of several keywords, serialized."""
    return attribute("KeywordList", values).SerializeToString(deterministic=True)


def compact(value: Value) -> bytes:
    """JSON without a space that nobody asked for."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
