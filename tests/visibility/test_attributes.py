"""Which search attributes may be set to what; texts and decisions checked against server 1.32."""

from __future__ import annotations

import pytest

from perdure.api import common
from perdure.errors import InvalidArgument
from perdure.visibility import attributes
from tests.visibility.samples import CUSTOM


def payload(data: bytes, encoding: bytes = b"json/plain") -> common.Payload:
    return common.Payload(metadata={"encoding": encoding}, data=data)


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        ("CI", b"5", 5),
        ("CI", b"[5]", 5),
        ("CI", b"null", None),
        ("CI", b"[]", None),
        ("CI", b"[null]", None),
        ("CD", b"1", 1.0),
        ("CD", b"1e3", 1000.0),
        ("CB", b"true", True),
        ("CK", b'"a"', "a"),
        ("CK", b'"\\ud800"', "\ufffd"),
        ("CK", b'"\xff"', "\ufffd"),
        ("CT", b'""', ""),
        ("CL", b'["a","b"]', ["a", "b"]),
        ("CDT", b'"1970-01-01T00:00:00.000000001Z"', 1),
        ("BuildIds", b'["a"]', ["a"]),
        ("TemporalNamespaceDivision", b'"a"', "a"),
    ],
)
def test_accepts_and_decodes(name: str, data: bytes, value: object) -> None:
    """JSON values of the registered type; null and empty lists unset, a list of one is its element."""
    given = payload(data)
    attributes.validate({name: given}, CUSTOM, "ns")
    kind = attributes.type_of(name, CUSTOM)

    assert kind is not None
    assert attributes.decode(given, kind) == value


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("Nope", b"1", "Namespace ns has no mapping defined for search attribute Nope"),
        ("NamespaceId", b'"x"', "Namespace ns has no mapping defined for search attribute NamespaceId"),
        ("TemporalFoo", b'"x"', "Namespace ns has no mapping defined for search attribute TemporalFoo"),
        ("WorkflowId", b'"x"', "WorkflowId attribute can't be set in SearchAttributes"),
        ("TemporalWorkerDeployment", b'"x"', "TemporalWorkerDeployment attribute can't be set in SearchAttributes"),
        ("CI", b'"x"', "invalid value for search attribute CI of type Int: x"),
        ("CI", b"1.0", "invalid value for search attribute CI of type Int: 1"),
        ("CI", b"9223372036854775808", "invalid value for search attribute CI of type Int: 9.223372036854776e+18"),
        ("CI", b"true", "invalid value for search attribute CI of type Int: true"),
        ("CI", b"[1,2]", "invalid value for search attribute CI of type Int: [1 2]"),
        (
            "CI",
            b"zz",
            (
                "invalid value for search attribute CI of type Int: value from"
                ' <metadata:{key:"encoding"  value:"json/plain"}  data:"zz">'
            ),
        ),
        ("CK", b"12345678.5", "invalid value for search attribute CK of type Keyword: 1.23456785e+07"),
        ("CK", b"1e-7", "invalid value for search attribute CK of type Keyword: 1e-07"),
        (
            "CK",
            b'{"b":[1,null,true],"a":"x"}',
            "invalid value for search attribute CK of type Keyword: map[a:x b:[1 <nil> true]]",
        ),
        ("CL", b'"a"', "invalid value for search attribute CL of type KeywordList: a"),
        ("CL", b'["a",1]', "invalid value for search attribute CL of type KeywordList: [a 1]"),
        ("CB", b"1", "invalid value for search attribute CB of type Bool: 1"),
        ("CDT", b'"2024-01-01"', "invalid value for search attribute CDT of type Datetime: 2024-01-01"),
        ("CK", b'"' + b"x" * 2100 + b'"', "search attribute CK value size 2102 exceeds size limit 2048"),
    ],
)
def test_refuses(name: str, data: bytes, text: str) -> None:
    """Names first, then values, then sizes."""
    with pytest.raises(InvalidArgument) as raised:
        attributes.validate({name: payload(data)}, CUSTOM, "ns")

    assert raised.value.message == text


def test_binary_values_are_refused_and_binary_null_unsets() -> None:
    """Only JSON and the null encoding carry values."""
    attributes.validate({"CI": payload(b"", b"binary/null")}, CUSTOM, "ns")
    with pytest.raises(InvalidArgument, match=r"of type Int: \[49\]"):
        attributes.validate({"CI": payload(b"1", b"binary/plain")}, CUSTOM, "ns")


def test_limits_of_count_and_total() -> None:
    """100 keys, 40 KiB altogether."""
    custom = {f"K{number}": attributes.KEYWORD for number in range(101)}
    small = payload(b'"x"')
    large = payload(b'"' + b"x" * 2000 + b'"')

    attributes.validate(dict.fromkeys(list(custom)[:100], small), custom, "ns")
    with pytest.raises(InvalidArgument, match="number of search attributes 101 exceeds limit 100"):
        attributes.validate(dict.fromkeys(custom, small), custom, "ns")
    with pytest.raises(InvalidArgument, match=r"total size of search attributes \d+ exceeds size limit 40960"):
        attributes.validate(dict.fromkeys(list(custom)[:30], large), custom, "ns")


def test_merged_removes_nulls_and_writes_types() -> None:
    """An upsert replaces single attributes; the type is in the metadata of what is kept."""
    current = {"CK": attributes.encode("a", attributes.KEYWORD), "CI": attributes.encode(1, attributes.INT)}
    changes = {"CI": payload(b"null"), "CL": payload(b'["x"]'), "CK": payload(b'"b"')}

    found = attributes.merged(current, changes, CUSTOM)

    assert sorted(found) == ["CK", "CL"]
    assert found["CK"].data == b'"b"'
    assert found["CL"].metadata["type"] == b"KeywordList"
    assert "type" not in changes["CL"].metadata
    assert sorted(current) == ["CI", "CK"]


def test_a_type_that_the_caller_claims_stays_until_it_is_indexed() -> None:
    """Runs show what was claimed; an index goes by what is registered."""
    claimed = payload(b'"b"')
    claimed.metadata["type"] = b"Int"

    found = attributes.merged({}, {"CK": claimed}, CUSTOM)["CK"]
    assert found.metadata["type"] == b"Int"
    attributes.set_type(found, "CK", CUSTOM)
    assert found.metadata["type"] == b"Keyword"
    attributes.set_type(claimed, "Unknown", CUSTOM)
    assert claimed.metadata["type"] == b"Int"


def test_reserved_names() -> None:
    """System and predefined names, four of the store's, and everything with the prefix."""
    assert all(attributes.is_reserved(name) for name in ("WorkflowId", "BuildIds", "Memo", "TemporalAnything"))
    assert not attributes.is_reserved("CustomerId")


def test_text_is_matched_by_words() -> None:
    """Case and punctuation do not count, order inside a token does."""
    assert attributes.words("Hello, big-World_x") == " hello big world x "
    assert attributes.words(" -_ ") == ""


def test_indexed_leaves_out_what_has_no_known_type_or_value() -> None:
    """A record is never lost for a bad attribute: unknown types, wrong values and nulls are skipped."""
    fields = {
        "good": attributes.encode("a\0b", attributes.KEYWORD),
        "null": common.Payload(metadata={"encoding": b"json/plain", "type": b"Int"}, data=b"null"),
        "wrong": common.Payload(metadata={"encoding": b"json/plain", "type": b"Int"}, data=b'"x"'),
        "untyped": payload(b"1"),
    }

    found = attributes.indexed(common.SearchAttributes(indexed_fields=fields).SerializeToString())

    assert found == {attributes.index_key("good", attributes.KEYWORD): "a\ufffdb"}
