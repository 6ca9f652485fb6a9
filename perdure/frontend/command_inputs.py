"""What a worker's commands name outside of their run: the ids of namespaces and of Nexus endpoints (semantics 4.0). No
I/O.
"""

from __future__ import annotations

from typing import Final

from perdure.api import command as commands
from perdure.api import enums, workflowservice
from perdure.cluster.namespaces import Namespace
from perdure.frontend.services import Call, Services

_COMMANDS_WITH_NAMESPACE: Final = {
    enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: "start_child_workflow_execution_command_attributes",
    enums.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: ("signal_external_workflow_execution_command_attributes"),
    enums.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: (
        "request_cancel_external_workflow_execution_command_attributes"
    ),
}


def command_namespace(services: Services, call: Call, command: commands.Command) -> Namespace:
    """The namespace that a command is about: the call's unless it names another; raises `NamespaceNotFound`."""
    field = _COMMANDS_WITH_NAMESPACE.get(command.command_type)
    name: str = getattr(command, field).namespace if field is not None else ""
    return services.namespaces.by_name(name) if name else call.namespace


def named_ids(
    services: Services, call: Call, request: workflowservice.RespondWorkflowTaskCompletedRequest
) -> dict[int, str]:
    """For the index of each command that names a namespace or an endpoint, its id. An unknown namespace fails the whole
    call, an unknown endpoint is left out.
    """
    found: dict[int, str] = {}
    for index, command in enumerate(request.commands):
        if command.command_type in _COMMANDS_WITH_NAMESPACE:
            found[index] = command_namespace(services, call, command).id
        elif command.command_type == enums.COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION:
            endpoint = services.endpoints.by_name(command.schedule_nexus_operation_command_attributes.endpoint)
            if endpoint is not None:
                found[index] = endpoint.id
    return found
