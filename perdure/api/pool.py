"""The descriptor pool of our own, filled once from the file that the build wrote.

It exists so that a server has the API's message classes without importing the SDK (DESIGN section 2). It is not
protobuf's default pool: a process that also uses the Temporal SDK holds two sets of classes, and only bytes cross
between them. This module must not import `temporalio` or `grpc`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from perdure.api.splice import length_delimited_fields

_PATH = Path(__file__).with_name("descriptors.binpb")
_NAME_FIELD = 1

POOL = DescriptorPool()
FILES: dict[str, FileDescriptor] = {}
_FILES_OF_PACKAGE: dict[str, list[FileDescriptor]] = {}


def _read() -> bytes:
    try:
        return _PATH.read_bytes()
    except FileNotFoundError as missing:
        raise ImportError(
            f"{_PATH.name} is missing: it is written when perdure is built; in a checkout run `make setup` "
            "or `python build_descriptors.py`"
        ) from missing


DESCRIPTOR_SET = _read()


def _load() -> None:
    for start, end in length_delimited_fields(DESCRIPTOR_SET, 1):
        serialized = DESCRIPTOR_SET[start:end]
        name_start, name_end = length_delimited_fields(serialized, _NAME_FIELD)[0]
        POOL.AddSerializedFile(serialized)
        file = POOL.FindFileByName(serialized[name_start:name_end].decode())
        FILES[file.name] = file
        _FILES_OF_PACKAGE.setdefault(file.package, []).append(file)


_load()


def message_class(full_name: str) -> type[Message]:
    """The class of a message by its full name (`temporal.api.common.v1.Payload`); KeyError if there is none."""
    return GetMessageClass(POOL.FindMessageTypeByName(full_name))


def export(package: str, namespace: dict[str, Any]) -> None:
    """Put every top-level message class, enum wrapper and enum constant (a plain int) of a package into a namespace."""
    names = []
    for file in _FILES_OF_PACKAGE[package]:
        for name, message in file.message_types_by_name.items():
            namespace[name] = GetMessageClass(message)
            names.append(name)
        for name, enum in file.enum_types_by_name.items():
            namespace[name] = EnumTypeWrapper(enum)
            names.append(name)
            for value in enum.values:
                namespace[value.name] = value.number
                names.append(value.name)
    namespace["__all__"] = sorted(names)
