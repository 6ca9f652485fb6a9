"""Whatever is sent as JSON or as a query, the reader fills the message or names a mistake; nothing else comes out."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.api import method_table
from perdure.api.json_read import BadJson, from_json
from perdure.api.json_write import to_json
from perdure.api.text_fields import BadField, set_path, set_query

METHODS = [method for _, method in sorted(method_table().items()) if method.service.startswith("temporal.api")]
pytestmark = pytest.mark.slow

REQUESTS = [method.request for method in METHODS]


@cache
def _names(descriptor: Any, depth: int = 2) -> list[str]:
    """Names of fields, and of fields in fields."""
    found = []
    for field in descriptor.fields:
        found.append(field.json_name)
        if field.message_type is not None and not field.is_repeated and depth:
            found += [f"{field.json_name}.{name}" for name in _names(field.message_type, depth - 1)]
    return found


TEXTS = st.sampled_from(
    [
        *(
            "",
            "1",
            "-1",
            "1e5",
            "1.5",
            "true",
            "NaN",
            "-Infinity",
            "5s",
            "-315576000001s",
            "0.0000000001s",
            "1h2m",
            "ns",
        ),
        *("2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999999-23:59", "2026-13-01"),
        *("AA==", "A", "-_", "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE", "RejectDuplicate", "a,b", "\ud800", "\0"),
        *("9223372036854775808", "99999999999999999999999", "type.googleapis.com/temporal.api.common.v1.Payload"),
    ]
) | st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


@st.composite
def _documents(draw: st.DrawFn) -> tuple[Any, Any]:
    """A request and a document that is nearly one of it."""
    kind = draw(st.sampled_from(REQUESTS))
    return kind, draw(_objects(kind.DESCRIPTOR, 3))


def _objects(descriptor: Any, depth: int) -> st.SearchStrategy[Any]:
    fields = {field.json_name: _values(field, depth) for field in descriptor.fields}
    if descriptor.full_name == "google.protobuf.Any":
        fields["@type"] = TEXTS
    near = st.fixed_dictionaries({}, optional=fields)
    return near if depth < 3 else near | SCALARS


def _values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    inner: st.SearchStrategy[Any] = SCALARS
    if field.message_type is not None and depth:
        inner = st.deferred(lambda: _objects(field.message_type, depth - 1)) | SCALARS
    return inner | st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2)


@settings(max_examples=400, deadline=None)
@given(_documents(), st.booleans())
def test_any_json_is_read_or_refused(document: tuple[Any, Any], shorthand: bool) -> None:
    """And what was read can be written."""
    kind, value = document
    message = kind()
    with suppress(BadJson):
        from_json(message, json.dumps(value).encode(), shorthand=shorthand)
        json.loads(to_json(message, shorthand=shorthand))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(REQUESTS), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(kind: Any, text: bytes) -> None:
    """No JSON at all."""
    with suppress(BadJson):
        from_json(kind(), text, shorthand=True)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_query_is_read_or_refused(data: st.DataObject) -> None:
    """Of known and unknown names, with map keys and without."""
    kind = data.draw(st.sampled_from(REQUESTS))
    name = st.sampled_from(_names(kind.DESCRIPTOR) or ["x"]) | TEXTS
    keys = name | st.builds("{}[{}]".format, name, TEXTS)
    pairs = data.draw(st.lists(st.tuples(keys, TEXTS), max_size=4))
    message = kind()
    with suppress(BadField):
        set_query(message, pairs, ["namespace"])
    with suppress(BadField):
        set_path(message, data.draw(name), data.draw(TEXTS))
    message.SerializeToString()
