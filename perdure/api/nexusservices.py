"""Message classes of `temporal.api.nexusservices.workerservice.v1`; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.nexusservices.workerservice.v1.request_response_pb2 import *
else:
    from perdure.api.pool import export

    export("temporal.api.nexusservices.workerservice.v1", globals())
