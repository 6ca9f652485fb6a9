"""Message classes of `temporal.api.compute.v1` from our own descriptor pool; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.compute.v1.config_pb2 import *
    from temporalio.api.compute.v1.provider_pb2 import *
    from temporalio.api.compute.v1.scaler_pb2 import *
else:
    from perdure.api.pool import export

    export("temporal.api.compute.v1", globals())
