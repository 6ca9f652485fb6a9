"""Listening sockets for servers that are started later.

An HTTP server's libraries take a tenth of a second to import; its port can be named, and connected to, before that.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

BACKLOG: Final = 256
"""Connections that the kernel accepts for us until they are served."""


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket; port 0 takes a free one. Clients that connect now are served once a server starts.

    Raises OSError; the text of a busy port's error holds "address already in use".
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OSError(errno.EADDRINUSE, f"listen tcp {host}:{port}: bind: address already in use") from error
        raise
    return listener
