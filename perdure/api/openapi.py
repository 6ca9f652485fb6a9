"""The OpenAPI documents of the HTTP API, made from the descriptors, so that they cannot fall behind.

`document(3)` is OpenAPI 3.0, `document(2)` is Swagger 2.0; both name every binding, parameter and message. The
descriptors carry no comments, so neither do the documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, final

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from perdure.api.methods import HttpRule, http_rules, method_table
from perdure.api.payload_json import PAYLOAD, PAYLOADS
from perdure.api.pool import message_class

Schema = dict[str, Any]

TITLE: Final = "Temporal HTTP API, served by Perdure"
NESTED_MAX: Final = 3
"""How deep query parameters reach into nested messages."""

_STATUS: Final = "google.rpc.Status"
_VARIABLE: Final = re.compile(r"\{([^}=]+)(=[^}]*)?\}")
_LONG: Final[Schema] = {"type": "object", "properties": {"metadata": {"type": "object"}, "data": {"type": "string"}}}
_KNOWN: Final[dict[str, Schema]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "description": "Seconds with an s behind: 1.5s"},
    "google.protobuf.FieldMask": {"type": "string", "description": "Paths with commas between them"},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "The type of the message"}},
        "additionalProperties": True,
    },
    PAYLOAD: {"description": "Any JSON value, or the long form: metadata and data, both base64"},
    PAYLOADS: {"description": "A list of JSON values, or the long form: an object with payloads"},
}
_SCALARS: Final[dict[int, Schema]] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "format": "byte"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.TYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_SINT64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_SFIXED64: {"type": "string", "format": "int64"},
    FieldDescriptor.TYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.TYPE_FIXED64: {"type": "string", "format": "uint64"},
}
_INTEGER: Final[Schema] = {"type": "integer", "format": "int32"}


@cache
def document(version: int) -> bytes:
    """The document as JSON text; `version` is 2 or 3."""
    return msgspec.json.encode(_Document(version).build())


@final
class _Document:
    def __init__(self, version: int) -> None:
        assert version in (2, 3), version
        self._new = version == 3
        self._schemas: dict[str, Schema] = {}
        self._names: dict[str, str] = {}

    def build(self) -> Schema:
        paths: dict[str, Schema] = {}
        seen: dict[str, int] = {}
        for rule in http_rules():
            path = _VARIABLE.sub(r"{\1}", rule.template)
            count = seen[rule.method] = seen.get(rule.method, 0) + 1
            paths.setdefault(path, {})[rule.verb.lower()] = self._operation(rule, count)
        head: Schema = {"openapi": "3.0.3"} if self._new else {"swagger": "2.0", "produces": ["application/json"]}
        head |= {"info": {"title": TITLE, "version": "v1"}, "paths": dict(sorted(paths.items()))}
        schemas = dict(sorted(self._schemas.items()))
        return head | ({"components": {"schemas": schemas}} if self._new else {"definitions": schemas})

    def _operation(self, rule: HttpRule, count: int) -> Schema:
        method = method_table()[rule.method]
        request: Any = method.request.DESCRIPTOR
        response: Any = method.response.DESCRIPTOR
        bound = [match[1] for match in _VARIABLE.finditer(rule.template)]
        parameters = [self._parameter(name, "path", {"type": "string"}) for name in bound]
        operation: Schema = {
            "operationId": method.name if count == 1 else f"{method.name}{count}",
            "tags": [method.service.rpartition(".")[2]],
        }
        if rule.body == "*":
            schema = self._message(request)
            if self._new:
                operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
            else:
                parameters.append({"name": "body", "in": "body", "required": True, "schema": schema})
        else:
            for path, name, schema in self._flat(request, "", "", 0):
                if path not in bound:
                    parameters.append(self._parameter(name, "query", schema))
        if parameters:
            operation["parameters"] = parameters
        error: Any = message_class(_STATUS).DESCRIPTOR
        operation["responses"] = {"200": self._response("OK", response), "default": self._response("Error", error)}
        return operation

    def _parameter(self, name: str, place: str, schema: Schema) -> Schema:
        head = {"name": name, "in": place, "required": place == "path"}
        return head | ({"schema": schema} if self._new else schema)

    def _response(self, description: str, descriptor: Descriptor) -> Schema:
        schema = self._message(descriptor)
        body = {"content": {"application/json": {"schema": schema}}} if self._new else {"schema": schema}
        return {"description": description, **body}

    def _flat(self, descriptor: Descriptor, path: str, name: str, depth: int) -> Iterator[tuple[str, str, Schema]]:
        """The fields that a query can set: their path in the proto, their name, their form."""
        for field in descriptor.fields:
            at, called = path + field.name, name + field.json_name
            inner = field.message_type
            if inner is None:
                yield at, called, self._field(field)
            elif not field.is_repeated and inner.full_name in _KNOWN:
                yield at, called, dict(_KNOWN[inner.full_name])
            elif not field.is_repeated and depth < NESTED_MAX:
                yield from self._flat(inner, at + ".", called + ".", depth + 1)

    def _field(self, field: FieldDescriptor) -> Schema:
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self._field(inner.fields_by_name["value"])}
        single = self._single(field)
        return {"type": "array", "items": single} if field.is_repeated else single

    def _single(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self._message(field.message_type)
        if field.enum_type is not None:
            return {"type": "string", "format": "enum", "enum": [value.name for value in field.enum_type.values]}
        return dict(_SCALARS.get(field.type, _INTEGER))

    def _message(self, descriptor: Descriptor) -> Schema:
        known = _KNOWN.get(descriptor.full_name)
        if known is not None:
            return dict(known)
        name = self._name(descriptor)
        if name not in self._schemas:
            self._schemas[name] = {}
            properties = {field.json_name: self._field(field) for field in descriptor.fields}
            self._schemas[name] |= {"type": "object", **({"properties": properties} if properties else {})}
        return {"$ref": f"#/components/schemas/{name}" if self._new else f"#/definitions/{name}"}

    def _name(self, descriptor: Descriptor) -> str:
        """The message's own name, or its whole one when another message has taken the short one."""
        short = descriptor.name if descriptor.containing_type is None else descriptor.full_name
        taken = self._names.setdefault(short, descriptor.full_name)
        return short if taken == descriptor.full_name else descriptor.full_name
