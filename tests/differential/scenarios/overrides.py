"""Versioning overrides, as starts and UpdateWorkflowExecutionOptions take them (semantics 7.7, 16.1.3).

No worker has a version here: an override to a version is refused, one to auto-upgrade is kept and shown.
"""

from __future__ import annotations

from typing import Any

from temporalio.api.common.v1 import Priority
from temporalio.api.deployment.v1 import Deployment, WorkerDeploymentVersion
from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflow.v1 import VersioningOverride

from .. import operations
from ..script import Script
from ..values import complete_workflow, continue_as_new

PINNED = VersioningBehavior.VERSIONING_BEHAVIOR_PINNED
AUTO_UPGRADE = VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
HARD = VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED
VERSION = WorkerDeploymentVersion(deployment_name="d", build_id="b")


def _update(s: Script, override: VersioningOverride | None, *paths: str, **fields: Any) -> None:
    options = {"versioning_override": override} | fields
    operations.change_options(s, *(paths or ("versioning_override",)), options=options)


def auto_upgrade(s: Script) -> None:
    """Set, set again, combined with a priority, removed."""
    s.start()
    override = VersioningOverride(auto_upgrade=True)
    _update(s, override)
    _update(s, override)
    s.describe()
    task = s.poll()
    _update(s, override, "versioning_override", "priority", priority=Priority(priority_key=2))
    s.complete(task)
    s.describe()
    s.history()
    _update(s, None)
    s.describe()
    s.history()


def later(s: Script) -> None:
    """Set and removed on a run whose worker is known already, with a sticky queue."""
    s.complete(s.begin_quietly(), sticky_attributes=s.sticky())
    _update(s, VersioningOverride(auto_upgrade=True))
    s.describe()
    s.signal()
    s.complete(s.poll(), sticky_attributes=s.sticky())
    s.describe()
    _update(s, None)
    s.describe()
    s.signal()
    s.history()


def older_auto_upgrade(s: Script) -> None:
    """The same in the older form."""
    s.start()
    _update(
        s, VersioningOverride(behavior=AUTO_UPGRADE), "versioning_override.behavior", "versioning_override.deployment"
    )
    s.describe()
    _update(s, None)
    s.history()
    s.describe()


def bad(s: Script) -> None:
    """Everything that is no override, and versions that no worker has."""
    s.start()
    pinned = VersioningOverride.PinnedOverride
    one_time = VersioningOverride.OneTimeOverride
    for override in (
        VersioningOverride(),
        VersioningOverride(auto_upgrade=False),
        VersioningOverride(pinned=pinned()),
        VersioningOverride(pinned=pinned(version=VERSION)),
        VersioningOverride(pinned=pinned(behavior=HARD)),
        VersioningOverride(pinned=pinned(behavior=HARD, version=WorkerDeploymentVersion())),
        VersioningOverride(pinned=pinned(behavior=HARD, version=VERSION)),
        VersioningOverride(one_time=one_time()),
        VersioningOverride(one_time=one_time(target_deployment_version=VERSION)),
        VersioningOverride(behavior=PINNED),
        VersioningOverride(behavior=PINNED, pinned_version="d.b"),
        VersioningOverride(behavior=PINNED, pinned_version="nonsense"),
        VersioningOverride(behavior=PINNED, deployment=Deployment()),
        VersioningOverride(behavior=PINNED, deployment=Deployment(series_name="d")),
        VersioningOverride(behavior=AUTO_UPGRADE, pinned_version="d.b"),
        VersioningOverride(behavior=AUTO_UPGRADE, deployment=Deployment(series_name="d", build_id="b")),
    ):
        s.section(str(override).replace("\n", " "))
        _update(s, override)
    s.history()


def bad_starts(s: Script) -> None:
    """The same with a start."""
    pinned = VersioningOverride.PinnedOverride
    one_time = VersioningOverride.OneTimeOverride
    for override in (
        VersioningOverride(),
        VersioningOverride(pinned=pinned()),
        VersioningOverride(pinned=pinned(version=VERSION)),
        VersioningOverride(pinned=pinned(behavior=HARD)),
        VersioningOverride(pinned=pinned(behavior=HARD, version=WorkerDeploymentVersion())),
        VersioningOverride(
            pinned=pinned(behavior=HARD, version=WorkerDeploymentVersion(deployment_name="d" * 1001, build_id="b"))
        ),
        VersioningOverride(
            pinned=pinned(behavior=HARD, version=WorkerDeploymentVersion(deployment_name="d", build_id="b" * 1001))
        ),
        VersioningOverride(pinned=pinned(behavior=HARD, version=VERSION)),
        VersioningOverride(one_time=one_time()),
        VersioningOverride(one_time=one_time(target_deployment_version=VERSION)),
        VersioningOverride(behavior=PINNED),
        VersioningOverride(behavior=PINNED, pinned_version="d.b"),
        VersioningOverride(behavior=AUTO_UPGRADE, pinned_version="d.b"),
    ):
        s.section(str(override).replace("\n", " ")[:80])
        s.start(versioning_override=override)
        s.signal_with_start(versioning_override=override)


def started(s: Script) -> None:
    """A start with an override: the event, the description, the next run."""
    s.start(versioning_override=VersioningOverride(auto_upgrade=True))
    s.describe()
    s.another_run_waits()
    s.complete(s.poll(), continue_as_new())
    s.await_close()
    s.run_id = ""
    s.run_id = s.poll().workflow_execution.run_id
    s.describe()


def signaled_with_start(s: Script) -> None:
    """A signal-with-start with an override."""
    s.signal_with_start(versioning_override=VersioningOverride(auto_upgrade=True))
    s.describe()
    s.complete(s.poll(), complete_workflow())


def time_skipping(s: Script) -> None:
    """Refused: the namespace does not have it."""
    s.start()
    _update(s, None, "time_skipping_config", time_skipping_config={"enabled": True})
    _update(s, None, "time_skipping_config")
    _update(s, None, "time_skipping_config.enabled", time_skipping_config={"enabled": True})
    s.history()
    s.another("start")
    s.start(time_skipping_config={"enabled": True})
