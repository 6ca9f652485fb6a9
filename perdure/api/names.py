"""What enum numbers are called outside the protos: `StartToClose` for TIMEOUT_TYPE_START_TO_CLOSE."""

from __future__ import annotations

from typing import Any


def short_name(kind: Any, number: int) -> str:
    """A number of an `enums` type in camel case, as Temporal's texts have it; one without a name as it is."""
    value = kind.DESCRIPTOR.values_by_number.get(number)
    if value is None:
        return str(int(number))
    prefix = kind.DESCRIPTOR.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return "".join([word.capitalize() for word in value.name.removeprefix(prefix).split("_")])
