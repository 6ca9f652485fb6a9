"""What is random must not decide how two stories compare."""

from __future__ import annotations

import pytest

from perdure.api import enums, workflow
from tests.differential.normalise import Normaliser

LOW = "00000000-0000-4000-8000-000000000001"
HIGH = "ffffffff-0000-4000-8000-000000000001"


def told(first: str, second: str, order: tuple[int, ...]) -> list[str]:
    info = workflow.WorkflowExecutionExtendedInfo()
    events = ((first, enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, 1), (second, 26, 12))
    for request_id, event_type, event_id in [events[index] for index in order]:
        info.request_id_infos[request_id].event_type = event_type  # type: ignore[assignment]  # a plain number
        info.request_id_infos[request_id].event_id = event_id
    return list(Normaliser("nonce").lines(info))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_entries_under_random_keys_come_in_the_order_of_what_they_say(order: tuple[int, ...]) -> None:
    """Two runs mint other request ids: neither their order nor the map's shows."""
    assert told(LOW, HIGH, order) == told(HIGH, LOW, (0, 1))
    assert told(LOW, HIGH, order) != told(LOW, LOW, (0,))
