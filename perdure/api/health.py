"""Message classes of `grpc.health.v1` from our own descriptor pool; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grpc_health.v1.health_pb2 import *
else:
    from perdure.api.pool import export

    export("grpc.health.v1", globals())
