"""Proto JSON both ways, held against protobuf's own, and Temporal's shorthand for payloads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from perdure.api import Duration, Timestamp, common, method_table, nexus, workflowservice
from perdure.api.json_read import BadJson, from_json
from perdure.api.json_write import to_json
from perdure.api.pool import POOL

SEEDS = range(40)


def _value(field: Any, source: random.Random, depth: int) -> Any:
    if field.enum_type is not None:
        return source.choice(list(field.enum_type.values)).number
    texts = ["", "x", "é \u2028 \U0001f600", '"\\']
    makers: dict[int, Callable[[], Any]] = {
        FieldDescriptor.CPPTYPE_STRING: lambda: (
            source.randbytes(source.randrange(5)) if field.type == FieldDescriptor.TYPE_BYTES else source.choice(texts)
        ),
        FieldDescriptor.CPPTYPE_BOOL: lambda: source.random() < 0.5,
        FieldDescriptor.CPPTYPE_INT32: lambda: source.randrange(-(1 << 31), 1 << 31),
        FieldDescriptor.CPPTYPE_INT64: lambda: source.randrange(-(1 << 63), 1 << 63),
        FieldDescriptor.CPPTYPE_UINT32: lambda: source.randrange(1 << 32),
        FieldDescriptor.CPPTYPE_UINT64: lambda: source.randrange(1 << 64),
        FieldDescriptor.CPPTYPE_DOUBLE: lambda: source.choice([0.0, 1.5, -3e300, float("inf"), 2.0]),
        FieldDescriptor.CPPTYPE_FLOAT: lambda: source.choice([0.5, -2.0, 1024.25]),
    }
    return makers[field.cpp_type]()


def _fill(message: Any, source: random.Random, depth: int = 0) -> None:
    """Some fields of a message, whatever it is."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        message.FromNanoseconds(source.randrange(1 << 60))
        return
    if name == "google.protobuf.Duration":
        message.FromNanoseconds(source.randrange(-(1 << 50), 1 << 50))
        return
    if name == "google.protobuf.Any":
        message.Pack(common.WorkflowType(name="inside"))
        return
    for field in message.DESCRIPTOR.fields:
        if source.random() < 0.5 or (field.message_type is not None and depth > 3) or name.endswith("FieldMask"):
            continue
        entry = field.message_type
        target = getattr(message, field.name)
        if entry is not None and entry.GetOptions().map_entry:
            key = _value(entry.fields_by_name["key"], source, depth)
            if entry.fields_by_name["value"].message_type is not None:
                _fill(target[key], source, depth + 1)
            else:
                target[key] = _value(entry.fields_by_name["value"], source, depth)
        elif field.is_repeated:
            for _ in range(source.randrange(3)):
                if entry is not None:
                    _fill(target.add(), source, depth + 1)
                else:
                    target.append(_value(field, source, depth))
        elif entry is not None:
            target.SetInParent()
            _fill(target, source, depth + 1)
        else:
            setattr(message, field.name, _value(field, source, depth))


@pytest.mark.parametrize("seed", SEEDS)
def test_as_protobufs_own_json(seed: int) -> None:
    """Any message of the API is written as protobuf writes it, and both texts are read back to the same message."""
    source = random.Random(seed)
    for method in source.sample(sorted(method_table().values()), 12):
        if not method.service.startswith("temporal"):
            continue
        for kind in (method.request, method.response):
            message = kind()
            _fill(message, source)
            theirs = json_format.MessageToDict(message, descriptor_pool=POOL)
            ours = to_json(message, shorthand=False)
            assert json.loads(ours) == theirs, f"seed {seed}: {method.name}"
            for text in (ours, to_json(message, shorthand=False, pretty=True)):
                read = kind()
                from_json(read, text, shorthand=False)
                assert read == message, f"seed {seed}: {method.name}"
            read = kind()
            from_json(read, json.dumps(theirs).encode(), shorthand=False)
            assert read == message, f"seed {seed}: {method.name}"


def _payload(data: bytes, **metadata: str) -> common.Payload:
    return common.Payload(data=data, metadata={key: value.encode() for key, value in metadata.items()})


@pytest.mark.parametrize(
    ("payload", "short"),
    [
        (_payload(b"1", encoding="json/plain"), b"1"),
        (_payload(b"123456789012345678901234567890", encoding="json/plain"), b"123456789012345678901234567890"),
        (_payload(b'{"b":1, "a":[]}', encoding="json/plain"), b'{"b":1, "a":[]}'),
        (_payload(b"", encoding="binary/null"), b'{"metadata":{"encoding":"YmluYXJ5L251bGw="}}'),
        (_payload(b'{"x":1.0}', encoding="json/protobuf", messageType="a.B"), b'{"x":1.0,"_protoMessageType":"a.B"}'),
    ],
)
def test_short_forms(payload: common.Payload, short: bytes) -> None:
    """The user's bytes as they are, and back again."""
    assert to_json(payload, shorthand=True) == short
    read = common.Payload()
    from_json(read, short, shorthand=True)
    assert read.metadata == payload.metadata
    assert json.loads(read.data or b"null") == json.loads(payload.data or b"null")


@pytest.mark.parametrize(
    "payload",
    [
        _payload(b"\x00\x01", encoding="binary/plain"),
        _payload(b"1", encoding="json/plain", more="x"),
        _payload(b"not json", encoding="json/plain"),
        _payload(b"\xff", encoding="json/plain"),
        _payload(b"[" * 5000 + b"]" * 5000, encoding="json/plain"),
        _payload(b"[1]", encoding="json/protobuf", messageType="a.B"),
        _payload(b"{}", encoding="json/protobuf"),
    ],
)
def test_what_has_no_short_form_keeps_the_long_one(payload: common.Payload) -> None:
    """A list that holds one, too; nothing is lost."""
    payloads = common.Payloads(payloads=[payload, _payload(b"1", encoding="json/plain")])
    text = to_json(payloads, shorthand=True)
    assert isinstance(json.loads(text), dict)
    read = common.Payloads()
    from_json(read, text, shorthand=True)
    assert read == payloads


def test_the_long_form_is_taken_where_the_short_one_is() -> None:
    """As clients mix them."""
    text = (
        b'[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Mg=="}, {"metadata":{"encoding":1},"data":"Mg=="}, null]'
    )
    read = common.Payloads()
    from_json(read, text, shorthand=True)
    assert [payload.data for payload in read.payloads] == [b"2", b'{"metadata":{"encoding":1},"data":"Mg=="}', b""]
    assert read.payloads[2].metadata["encoding"] == b"binary/null"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "unexpected EOF"),
        (b'{"namespace":', "unexpected EOF"),
        (b'{"namespace":"a"} x', "invalid JSON: Extra data"),
        (b"{'namespace':1}", "invalid JSON"),
        (b'\xff{"namespace":"a"}', "invalid JSON"),
        (b"null", "unexpected token null"),
        (b'{"namespace":"a","namespace":"b"}', 'duplicate field "namespace"'),
        (b'{"workflowId":"a","workflow_id":"b"}', 'duplicate field "workflow_id"'),
        (b'{"input":[{"a":1,"a":2}]}', 'duplicate field "a"'),
        (b'{"nope":1}', 'unknown field "nope"'),
        (b'{"workflowExecutionTimeout":"5"}', "invalid google.protobuf.Duration value"),
        (b'{"workflowExecutionTimeout":"9999999999999s"}', "invalid google.protobuf.Duration value"),
        (b'{"retryPolicy":{"maximumAttempts":2147483648}}', "invalid value for int32 type: 2147483648"),
        (b'{"retryPolicy":{"maximumAttempts":true}}', "invalid value for int32 type: true"),
        (b'{"retryPolicy":{"maximumAttempts":"1e400"}}', "invalid value for int32 type"),
        (b'{"retryPolicy":{"backoffCoefficient":1e400}}', "out of range"),
        (b'{"retryPolicy":{"backoffCoefficient":NaN}}', "NaN is no value"),
        (b'{"input":[NaN]}', "NaN is no value"),
        (b'{"namespace":"\\ud800"}', "half a character"),
        (b'{"workflowIdReusePolicy":"\\uD800"}', "half a character"),
        (b'{"memo":{"fields":{"\\ud800":1}}}', "half a character"),
        (b'{"memo":{"fields":[]}}', "a map is an object"),
        (b'{"completionCallbacks":{}}', "completion_callbacks is a list"),
        (b'{"retryPolicy":{"maximumAttempts":' + b"1" * 1_000_000 + b"}}", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b'{"continuedFailure":' + b'{"cause":' * 200 + b"{}" + b"}" * 201, "max recursion depth"),
    ],
)
def test_bad_texts_are_refused(text: bytes, said: str) -> None:
    """With a reason that its sender understands; a million digits cost no time."""
    with pytest.raises(BadJson, match=said):
        from_json(workflowservice.StartWorkflowExecutionRequest(), text, shorthand=True)


@pytest.mark.parametrize(
    "text",
    [
        b'{"input":[1,2,3,4,5]}',
        b'{"memo":{"fields":{"a":1,"b":1,"c":1,"d":1,"e":1}}}',
        b'{"retryPolicy":{"nonRetryableErrorTypes":["a","b","c","d","e"]}}',
        b'{"input":[1,2,3],"memo":{"fields":{"a":1,"b":1}}}',
        b'{"completionCallbacks":[{"nexus":{"header":{"a":"1","b":"1"}}},{"nexus":{"header":{"a":"1"}}}]}',
    ],
    ids=range(5),
)
def test_elements_are_counted_together_for_who_reads_strangers(text: bytes) -> None:
    """Before anything is made of them; a payload's own JSON counts once."""
    with pytest.raises(BadJson, match="too many elements"):
        from_json(workflowservice.StartWorkflowExecutionRequest(), text, shorthand=True, elements_max=4)
    from_json(workflowservice.StartWorkflowExecutionRequest(), text, shorthand=True, elements_max=5)
    from_json(workflowservice.StartWorkflowExecutionRequest(), text, shorthand=True)
    inner = b'{"input":[[1,2,3,4,5,6,7]]}'
    from_json(workflowservice.StartWorkflowExecutionRequest(), inner, shorthand=True, elements_max=1)


def test_oneofs_are_set_once() -> None:
    """Two members of one choice are a mistake."""
    text = b'{"worker":{"namespace":"n"},"external":{"url":"u"}}'
    with pytest.raises(BadJson, match="is already set"):
        from_json(nexus.EndpointTarget(), text, shorthand=False)


def test_times_without_a_json_form_are_an_error() -> None:
    """Not a wrong answer."""
    with pytest.raises(ValueError, match=r"out of range|must be in range|Duration|Timestamp"):
        to_json(Timestamp(seconds=1 << 60), shorthand=False)
    with pytest.raises(ValueError, match=r"out of range|must be in range|Duration|Timestamp"):
        to_json(Duration(seconds=1 << 60), shorthand=False)
