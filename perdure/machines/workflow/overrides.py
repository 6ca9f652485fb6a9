"""Versioning overrides: what a start or an options update says about the worker version of a run (semantics 7.7,
16.1.3).

An override is kept in its newer form, whichever form it came in. Worker deployments are not built: no task queue has a
version, so an override to one is refused in the words of a server that looked for it and found none.
"""

from __future__ import annotations

from typing import Any

from perdure.api import enums, workflow
from perdure.errors import FailedPrecondition, InvalidArgument
from perdure.machines.json_payloads import keyword
from perdure.machines.workflow.execution import Execution

Override = workflow.VersioningOverride
BEHAVIOR = "TemporalWorkflowVersioningBehavior"
"""The search attribute that names the behaviour in force."""


def check(override: Override, task_queue: str) -> None:
    """Raises what is wrong with an override for a run on this queue."""
    version = named_version(override)
    if version is not None:
        deployment, build_id = version
        raise FailedPrecondition(
            f"Pinned version '{deployment}:{build_id}' is not present in task queue '{task_queue}' of type 'Workflow'"
        )


def named_version(override: Override) -> tuple[str, str] | None:
    """The (deployment, build id) that a well-formed override names, None for auto-upgrade; raises what is wrong with
    its form.
    """
    kind = override.WhichOneof("override")
    if kind is None:
        return _older(override)
    if kind == "auto_upgrade":
        if not override.auto_upgrade:
            raise InvalidArgument("auto-upgrade override must be true")
        return None
    if kind == "pinned":
        if not override.pinned.HasField("version"):
            raise InvalidArgument("must provide version if override is pinned.")
        if not override.pinned.behavior:
            raise InvalidArgument("must specify pinned override behavior if override is pinned.")
        return override.pinned.version.deployment_name, override.pinned.version.build_id
    if not override.one_time.HasField("target_deployment_version"):
        raise InvalidArgument("must provide target deployment version if override is one-time.")
    target = override.one_time.target_deployment_version
    return target.deployment_name, target.build_id


def _older(override: Override) -> tuple[str, str] | None:
    """The form before the oneof: a behaviour, and a deployment or a version string."""
    if override.behavior == enums.VERSIONING_BEHAVIOR_UNSPECIFIED:
        raise InvalidArgument("override behavior is required")
    if override.behavior == enums.VERSIONING_BEHAVIOR_AUTO_UPGRADE:
        if override.HasField("deployment"):
            raise InvalidArgument("only provide deployment if behavior is 'PINNED'")
        if override.pinned_version:
            raise InvalidArgument("only provide pinned version if behavior is 'PINNED'")
        return None
    if override.behavior != enums.VERSIONING_BEHAVIOR_PINNED:
        raise InvalidArgument(f"override behavior {override.behavior} not recognized")
    if override.HasField("deployment"):
        if not override.deployment.series_name:
            raise InvalidArgument("deployment name cannot be empty")
        if not override.deployment.build_id:
            raise InvalidArgument("deployment build ID cannot be empty")
        return override.deployment.series_name, override.deployment.build_id
    if not override.pinned_version:
        raise InvalidArgument("must provide deployment (deprecated) or pinned version if behavior is 'PINNED'")
    name, dot, build_id = override.pinned_version.partition(".")
    if not dot:
        raise InvalidArgument(
            f'invalid version string "{override.pinned_version}", expected format is "<deployment_name>.<build_id>"'
        )
    return name, build_id


def check_update(execution: Execution, override: Override) -> None:
    """The same for a run that is under way: "pinned" without a version would mean the version it has."""
    if override.pinned.behavior and not override.pinned.HasField("version"):
        name = "AutoUpgrade" if execution.override else "Unspecified"
        raise FailedPrecondition(
            f"must specify a specific pinned override version because workflow with id {execution.info.workflow_id} "
            f"has behavior {name} and is not yet pinned to any version"
        )
    check(override, execution.info.task_queue)


def newer_form(override: Override) -> Override:
    """A checked override in the form in which it is kept."""
    return Override(auto_upgrade=True) if override.WhichOneof("override") is None else override


def shown(stored: bytes) -> Override:
    """An override as Describe shows it: in both forms."""
    override = Override.FromString(stored)
    if override.auto_upgrade:
        override.behavior = enums.VERSIONING_BEHAVIOR_AUTO_UPGRADE
    return override


def behavior_payload() -> bytes:
    """The value of `BEHAVIOR` under the only override that can be in force."""
    return keyword("AutoUpgrade")


def encode(execution: Execution) -> object | None:
    """The run's section of stored state, None when it never had an override."""
    return execution.override


def decode(execution: Execution, stored: Any) -> None:
    """The way back."""
    execution.override = stored
