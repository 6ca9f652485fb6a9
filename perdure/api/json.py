"""Messages in protobuf's JSON form, for what leaves the server as JSON."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message


def message_to_dict(message: Message) -> dict[str, Any]:
    """The JSON form of a message: camel case names, bytes in base64, only what is set."""
    # Few servers ever need it, and it costs 3 ms to import.
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message)
