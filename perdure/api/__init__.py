"""The one place that holds protobuf: the API's message classes, its methods, and byte-level helpers.

`from perdure.api import common, enums, history, ...` gives one module per `temporal.api.<x>.v1`; the well-known types
and `google.rpc.Status` are attributes here. All come from one descriptor pool of our own, so they mix with each other
and with nothing else: no other module may import `google.protobuf` or `temporalio.api` (an import contract checks it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.api.methods import HttpRule, Method, http_rules, method_table, service_names
from perdure.api.pool import DESCRIPTOR_SET, message_class

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as Any
    from google.protobuf.duration_pb2 import Duration as Duration
    from google.protobuf.empty_pb2 import Empty as Empty
    from google.protobuf.field_mask_pb2 import FieldMask as FieldMask
    from google.protobuf.message import Message as Message
    from google.protobuf.timestamp_pb2 import Timestamp as Timestamp
    from google.rpc.status_pb2 import Status as Status
else:
    from google.protobuf.message import Message

    Any = message_class("google.protobuf.Any")
    Duration = message_class("google.protobuf.Duration")
    Empty = message_class("google.protobuf.Empty")
    FieldMask = message_class("google.protobuf.FieldMask")
    Timestamp = message_class("google.protobuf.Timestamp")
    Status = message_class("google.rpc.Status")

__all__ = [
    "Any",
    "Duration",
    "Empty",
    "FieldMask",
    "HttpRule",
    "Message",
    "Method",
    "Status",
    "Timestamp",
    "file_descriptor_set",
    "http_rules",
    "message_class",
    "method_table",
    "service_names",
]


def file_descriptor_set() -> bytes:
    """The serialized `FileDescriptorSet` that the pool was filled from, each file after its imports."""
    return DESCRIPTOR_SET
