"""Message classes of `temporal.api.replication.v1` from our own descriptor pool; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.replication.v1.message_pb2 import *
else:
    from perdure.api.pool import export

    export("temporal.api.replication.v1", globals())
