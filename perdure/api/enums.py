"""Message classes of `temporal.api.enums.v1` from our own descriptor pool; nothing else belongs here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.enums.v1.activity_pb2 import *
    from temporalio.api.enums.v1.batch_operation_pb2 import *
    from temporalio.api.enums.v1.command_type_pb2 import *
    from temporalio.api.enums.v1.common_pb2 import *
    from temporalio.api.enums.v1.deployment_pb2 import *
    from temporalio.api.enums.v1.event_type_pb2 import *
    from temporalio.api.enums.v1.failed_cause_pb2 import *
    from temporalio.api.enums.v1.namespace_pb2 import *
    from temporalio.api.enums.v1.nexus_pb2 import *
    from temporalio.api.enums.v1.query_pb2 import *
    from temporalio.api.enums.v1.reset_pb2 import *
    from temporalio.api.enums.v1.schedule_pb2 import *
    from temporalio.api.enums.v1.task_queue_pb2 import *
    from temporalio.api.enums.v1.time_skipping_pb2 import *
    from temporalio.api.enums.v1.update_pb2 import *
    from temporalio.api.enums.v1.workflow_pb2 import *
else:
    from perdure.api.pool import export

    export("temporal.api.enums.v1", globals())
