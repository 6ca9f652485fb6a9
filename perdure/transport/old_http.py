"""What a caller in HTTP/1 hears on the gRPC port: where to go instead. Bytes in, bytes out.

A browser, `curl` or a load balancer's check that ends up here would see a connection closed without a word. Nothing is
served this way, and nothing of the request is read but whether it is one.
"""

from __future__ import annotations

import re
from typing import Final

_REQUEST: Final = re.compile(rb"(?!PRI )[A-Z]{1,16} [^\r\n]")
"""The beginning of a request line. HTTP/2's preface looks like one on purpose; its method is reserved."""


def recognised(data: bytes) -> bool:
    """Whether the first bytes of a connection are an HTTP/1 request."""
    return _REQUEST.match(data) is not None


def answer(request: bytes, elsewhere: str) -> bytes:
    """426 with a sentence; `elsewhere` says where HTTP/1 is spoken, "" when nowhere is."""
    said = "This is a gRPC port, it speaks HTTP/2 only."
    text = f"{said} {elsewhere}\n" if elsewhere else f"{said}\n"
    body = text.encode("utf-8")
    head = (
        "HTTP/1.1 426 Upgrade Required\r\n"
        "Upgrade: h2c\r\n"
        "Connection: Upgrade, close\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if request.startswith(b"HEAD ") else body)
