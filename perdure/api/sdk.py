"""Message classes of `temporal.api.sdk.v1` from our own descriptor pool; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.sdk.v1.enhanced_stack_trace_pb2 import *
    from temporalio.api.sdk.v1.event_group_marker_pb2 import *
    from temporalio.api.sdk.v1.external_storage_pb2 import *
    from temporalio.api.sdk.v1.task_complete_metadata_pb2 import *
    from temporalio.api.sdk.v1.user_metadata_pb2 import *
    from temporalio.api.sdk.v1.worker_config_pb2 import *
    from temporalio.api.sdk.v1.workflow_metadata_pb2 import *
else:
    from perdure.api.pool import export

    export("temporal.api.sdk.v1", globals())
