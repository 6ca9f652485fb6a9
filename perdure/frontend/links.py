"""Links of calls: what is checked of those that requests bring, and those that lead to what a call has made."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.api import common, enums
from perdure.config import dynamic as settings
from perdure.frontend import validate
from perdure.frontend.services import Call, Services


def check(services: Services, call: Call, found: Sequence[common.Link]) -> None:
    """The links of a request."""
    if found:
        name = call.namespace.name
        get = services.config.get
        validate.links(
            found, get(settings.FRONTEND_MAX_LINKS_PER_REQUEST, name), get(settings.FRONTEND_LINK_MAX_SIZE, name)
        )


def to_started(link: common.Link, namespace: str, workflow_id: str, run_id: str) -> None:
    """Lead a link to the first event of a run."""
    event = link.workflow_event
    event.namespace = namespace
    event.workflow_id = workflow_id
    event.run_id = run_id
    event.event_ref.event_id = 1
    event.event_ref.event_type = enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED


def to_request(
    link: common.Link, namespace: str, workflow_id: str, run_id: str, request_id: str, event_type: int
) -> None:
    """Lead a link to the event that a request made, by its request id."""
    event = link.workflow_event
    event.namespace = namespace
    event.workflow_id = workflow_id
    event.run_id = run_id
    event.request_id_ref.request_id = request_id
    event.request_id_ref.event_type = event_type  # type: ignore[assignment]  # wire numbers are plain ints here
