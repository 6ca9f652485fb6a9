"""Search attributes of requests and of commands: checked, and typed by what their namespace has registered.

No machine sees a namespace's registry, so they reach a machine as payloads with their types in the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from perdure.api import common, enums, workflowservice
from perdure.cluster.namespaces import Namespace
from perdure.config import dynamic as settings
from perdure.errors import InvalidArgument
from perdure.frontend.command_inputs import command_namespace
from perdure.frontend.services import Call, Services
from perdure.machines.workflow.bad_attributes import BadSearchAttributes
from perdure.visibility import attributes


def of_request(services: Services, call: Call, request: Any) -> dict[str, bytes]:
    """A request's search attributes, checked, with their types in the metadata, serialized; null values are gone."""
    if not request.HasField("search_attributes"):
        return {}
    fields = request.search_attributes.indexed_fields
    if not fields:
        return {}
    _check(services, call.namespace, fields)
    kept = attributes.merged({}, fields, call.namespace.search_attributes)
    return {name: payload.SerializeToString() for name, payload in kept.items()}


def _check(services: Services, namespace: Namespace, fields: Mapping[str, common.Payload]) -> None:
    get = services.config.get
    attributes.validate(
        fields,
        namespace.search_attributes,
        namespace.name,
        get(settings.SEARCH_ATTRIBUTES_NUMBER_OF_KEYS_LIMIT, namespace.name),
        get(settings.SEARCH_ATTRIBUTES_SIZE_OF_VALUE_LIMIT, namespace.name),
        get(settings.SEARCH_ATTRIBUTES_TOTAL_SIZE_LIMIT, namespace.name),
    )


_COMMANDS_WITH_SEARCH_ATTRIBUTES: Final = {
    enums.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "upsert_workflow_search_attributes_command_attributes",
    enums.COMMAND_TYPE_CONTINUE_AS_NEW_WORKFLOW_EXECUTION: ("continue_as_new_workflow_execution_command_attributes"),
    enums.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: "start_child_workflow_execution_command_attributes",
}


def of_commands(
    services: Services, call: Call, request: workflowservice.RespondWorkflowTaskCompletedRequest
) -> dict[int, dict[str, bytes] | BadSearchAttributes]:
    """For the index of each command with search attributes: what to set (b"" removes), or what is wrong.

    A wrong one fails the workflow task (semantics 4.9), so nothing is raised here.
    """
    found: dict[int, dict[str, bytes] | BadSearchAttributes] = {}
    for index, command in enumerate(request.commands):
        field = _COMMANDS_WITH_SEARCH_ATTRIBUTES.get(command.command_type)
        if field is None:
            continue
        fields = getattr(command, field).search_attributes.indexed_fields
        if not fields:
            continue
        namespace = command_namespace(services, call, command)
        try:
            _check(services, namespace, fields)
        except InvalidArgument as wrong:
            found[index] = BadSearchAttributes(
                wrong.message, isinstance(wrong, attributes.NoMapping), isinstance(wrong, attributes.TooLarge)
            )
            continue
        custom = namespace.search_attributes
        kept = attributes.merged({}, fields, custom)
        for name in fields:
            kind = attributes.type_of(name, custom)
            if name not in kept and kind is not None and "type" not in fields[name].metadata:
                # The event shows what was asked, with types, also where it removes.
                fields[name].metadata["type"] = attributes.TYPE_NAMES[kind].encode()
        found[index] = {name: kept[name].SerializeToString() if name in kept else b"" for name in fields}
    return found
