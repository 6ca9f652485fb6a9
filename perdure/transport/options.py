"""The limits of the gRPC server, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.transport.limits import Http2Limits


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Defaults are those of Temporal's frontend where it has one (server_inventory, frontend.keepAlive*)."""

    message_bytes_max: int = 4 * 1024 * 1024
    """One request message, compressed and decompressed alike: gRPC's default, which clients know."""

    held_bytes_max: int = 64 * 1024 * 1024
    """Unfinished and unread messages of one connection; the call that passes it gets RESOURCE_EXHAUSTED."""

    output_bytes_max: int = 64 * 1024 * 1024
    """Responses that a connection's peer has not taken; the call that passes it gets RESOURCE_EXHAUSTED."""

    write_buffer_bytes: int = 1024 * 1024
    """Bytes in the transport before output waits in the streams and nothing more is read from the peer."""

    stall_s: float = 30.0
    """How long output may wait without any progress before the connection is closed."""

    handshake_s: float = 10.0
    """Until the preface and SETTINGS must be there, and a header block must be complete."""

    keepalive_s: float = 60.0
    """Silence before we ping (frontend.keepAliveTime)."""

    keepalive_timeout_s: float = 10.0
    """Silence after the ping before the connection is closed (frontend.keepAliveTimeout)."""

    idle_s: float = 120.0
    """Without a call before the connection is closed gracefully (frontend.keepAliveMaxConnectionIdle)."""

    age_s: float = 300.0
    """Before a connection is closed gracefully, spread by 10 % (frontend.keepAliveMaxConnectionAge)."""

    age_grace_s: float = 70.0
    """For the calls of such a connection: longer than a long poll (frontend.keepAliveMaxConnectionAgeGrace)."""

    connections_max: int = 10_000
    """Connections of one server; further ones are closed at once."""

    backlog: int = 1024
    """Connections that the kernel accepts for us while the loop is busy."""

    http1_elsewhere: str = ""
    """A sentence for callers in HTTP/1: where that is spoken."""

    http2: Http2Limits = field(default_factory=Http2Limits)
    """Streams, windows, header sizes and ping rates."""
