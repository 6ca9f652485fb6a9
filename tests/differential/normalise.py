"""Turns messages and errors into comparable lines.

The normaliser may only replace ids, times and identities by placeholders, and leave out what :data:`DROPPED` names with
its reason. Everything else is compared verbatim: enum names, texts, durations, payloads, presence of sub-messages, and
even fields that this proto version does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any as Anything
from typing import NamedTuple

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from .wire import RpcFailed


def _content(value: Anything) -> bytes:
    return value.SerializeToString(deterministic=True) if isinstance(value, Message) else str(value).encode()


class Dropped(NamedTuple):
    """A field that is not compared. `message` is the message's name without package, "*" for any."""

    message: str
    field: str
    reason: str


DROPPED = (
    Dropped("HistoryEvent", "task_id", "a shard-wide counter; SDKs ignore it"),
    Dropped("*", "history_size_bytes", "size of the server's own encoding of the events"),
    Dropped("*", "state_transition_count", "counts the transactions of the server's own design"),
    Dropped("*", "poller_scaling_decision", "advice that depends on load at the moment of the poll"),
    Dropped("*", "backlog_count_hint", "approximate by definition"),
    Dropped("*", "execution_duration", "difference of two clock readings"),
    Dropped("*", "current_retry_interval", "difference of two clock readings; a scenario states it rounded"),
    Dropped("*", "server_version", "ours is another product's"),
    Dropped("*", "custom_search_attribute_aliases", "the reference deals its column names out in random order"),
    Dropped("*", "capabilities", "each server advertises what it has; system.py compares those every server needs"),
    Dropped("*", "supports_schedules", "a capability"),
    Dropped("DescribeTaskQueueResponse", "effective_rate_limit", "a setting of the reference's installation"),
    Dropped("TaskQueueStatus", "rate_per_second", "a setting of the reference's installation"),
    Dropped("TaskQueueStats", "tasks_add_rate", "depends on the moment; a scenario states whether it is 0"),
    Dropped("TaskQueueStats", "tasks_dispatch_rate", "depends on the moment; a scenario states whether it is 0"),
    Dropped("NamespaceReplicationConfig", "state", "unset in namespaces that the reference's dev server seeds itself"),
    Dropped("GetClusterInfoResponse", "supported_clients", "a table of the release, not a behaviour"),
    Dropped("GetClusterInfoResponse", "version_info", "describes the reference's release and its upgrade notices"),
    Dropped("GetClusterInfoResponse", "history_shard_count", "the reference's partitioning"),
    Dropped("GetClusterInfoResponse", "persistence_store", "names the reference's storage driver"),
    Dropped("GetClusterInfoResponse", "visibility_store", "names the reference's storage driver"),
)
"""The only fields that are not compared."""

_DROPPED = {(rule.message, rule.field) for rule in DROPPED}

OPAQUE = frozenset({"task_token", "next_page_token", "conflict_token"})
"""Bytes that only the server that made them can read: compared as present or absent."""

UNORDERED = frozenset({"pending_activities", "pending_children", "callbacks"})
"""Lists that the reference builds from a map, in another order each time: compared sorted."""

OPTIONAL = frozenset({"auto_reset_points"})
"""Messages of which an empty one and none are the same: the reference shows either, by how it came by the run."""

TIMESTAMP = "google.protobuf.Timestamp"
DURATION = "google.protobuf.Duration"
ANY = "google.protobuf.Any"
HISTORY_EVENT = "temporal.api.history.v1.HistoryEvent"

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_DEBUG_BLANKS = re.compile(r"  (?=[a-z_]+:)|(?<=proto:)\u00a0")
_REPETITION = re.compile(r"(.)\1{63,}")

RACING_MESSAGES = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
"""Codes whose text the client library or the server writes, whichever notices first: only the code is compared."""


class Normaliser:
    """Placeholders of one transcript: the same value gets the same placeholder, numbered by first appearance.

    Times are the exception: set is told from unset, but equal times are not linked, because the reference reads its
    clock anew for every event of a transaction. Scenarios state relations between times as facts instead.
    """

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._ids: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def alias(self, text: str, placeholder: str) -> None:
        """Replace a text that differs from run to run, such as an address."""
        self._aliases[text] = placeholder

    def text(self, text: str) -> str:
        """The text with this run's nonce and every UUID replaced.

        Long repetitions are counted instead of printed, and the double blanks that protobuf-go puts into its debug
        format and the hard ones of its errors, at places that change with each build of the reference, become plain.
        """
        for known, placeholder in self._aliases.items():
            text = text.replace(known, placeholder)
        short = _UUID.sub(self._placeholder, text.replace(self._nonce, "<run>"))
        short = _REPETITION.sub(lambda match: f"{match.group(1)}*{len(match.group())}", short)
        return _DEBUG_BLANKS.sub(" ", short)

    def _placeholder(self, match: re.Match[str]) -> str:
        return self._ids.setdefault(match.group(), f"<id-{len(self._ids) + 1}>")

    def error(self, failed: RpcFailed) -> Iterator[str]:
        """Code, message, and each detail of an error."""
        yield f"error: {failed.code}"
        if failed.code not in RACING_MESSAGES:
            yield f"message: {self.text(failed.message)}"
        for detail in failed.status.details if failed.status else ():
            yield "detail:"
            yield from indented(self.lines(detail))

    def lines(self, message: Message) -> Iterator[str]:
        """One line for each field that is set, in field order; sub-messages indented under theirs."""
        name = message.DESCRIPTOR.full_name
        if name == ANY:
            yield from self._any(message)
            return
        short = message.DESCRIPTOR.name
        for field, value in message.ListFields():
            if (short, field.name) in _DROPPED or ("*", field.name) in _DROPPED:
                continue
            if field.name in OPTIONAL and not value.ByteSize():
                continue
            yield from self._field(field, value)
        unknown: Anything = UnknownFieldSet(message)
        for stranger in unknown:
            yield f"unknown field {stranger.field_number}"

    def _field(self, field: FieldDescriptor, value: Anything) -> Iterator[str]:
        if is_map(field):
            yield from self._map(field, value)
        elif field.is_repeated:
            items = [list(self._item(field, item)) for item in value]
            for lines in sorted(items) if field.name in UNORDERED else items:
                yield from lines
        else:
            yield from self._value(field.name, field, value)

    def _map(self, field: FieldDescriptor, value: Anything) -> Iterator[str]:
        entry = field.message_type.fields_by_name["value"] if field.message_type else field
        yield f"{field.name}:"
        # New random keys get their placeholders in the order of what they stand for, not of the keys.
        ordered = sorted(value, key=lambda key: (_UUID.sub("", str(key)), _content(value[key])))
        for key in sorted(ordered, key=lambda key: self.text(str(key))):
            for line in self._value(f"[{self.text(str(key))}]", entry, value[key]):
                yield "  " + line

    def _item(self, field: FieldDescriptor, item: Anything) -> Iterator[str]:
        message_type = field.message_type
        if message_type is not None and message_type.full_name == HISTORY_EVENT:
            yield from self._event(item)
        else:
            yield from self._value(f"- {field.name}", field, item)

    def _event(self, event: Anything) -> Iterator[str]:
        """A history event: its id and type head the lines of its attributes."""
        kind = event.DESCRIPTOR.fields_by_name["event_type"].enum_type.values_by_number
        label = kind[event.event_type].name if event.event_type in kind else str(event.event_type)
        yield f"- event {event.event_id} {label.removeprefix('EVENT_TYPE_')}"
        for field, value in event.ListFields():
            if field.name in ("event_id", "event_type", "task_id"):
                continue
            if field.name.endswith("_event_attributes"):
                yield from indented(self.lines(value))
            else:
                yield from indented(self._field(field, value))

    def _value(self, label: str, field: FieldDescriptor, value: Anything) -> Iterator[str]:
        message_type = field.message_type
        if message_type is None:
            yield f"{label}: {self._scalar(field, value)}"
        elif message_type.full_name == TIMESTAMP:
            yield f"{label}: <time>" if value.seconds > 0 else f"{label}: <zero time>"
        elif message_type.full_name == DURATION:
            yield f"{label}: {value.seconds + value.nanos / 1e9:g}s"
        else:
            inner = list(self.lines(value))
            yield f"{label}:" if inner else f"{label}: {{}}"
            yield from indented(inner)

    def _scalar(self, field: FieldDescriptor, value: Anything) -> str:
        if field.enum_type is not None:
            known = field.enum_type.values_by_number
            return known[value].name if value in known else str(value)
        if isinstance(value, bytes):
            return "<opaque>" if field.name in OPAQUE else self.text(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, str):
            return self.text(value)
        return repr(value)

    def _any(self, message: Anything) -> Iterator[str]:
        name = message.type_url.rpartition("/")[2]
        try:
            kind = descriptor_pool.Default().FindMessageTypeByName(name)
        except KeyError:
            yield f"{name}: unknown type"
            return
        inner = message_factory.GetMessageClass(kind).FromString(message.value)
        yield f"{name}:"
        yield from indented(self.lines(inner))


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field is declared as a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def indented(lines: Anything) -> Iterator[str]:
    """The lines, two blanks further to the right."""
    return ("  " + line for line in lines)
