"""Message classes of `temporal.api.workflowservice.v1` from our own descriptor pool; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.workflowservice.v1.request_response_pb2 import *
else:
    from perdure.api.pool import export

    export("temporal.api.workflowservice.v1", globals())
