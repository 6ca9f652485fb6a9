"""Answers of a worker that are wrong as a whole: what they cost, and what stays (semantics 3.5.6, 8.2)."""

from __future__ import annotations

import pytest

from perdure.api import update
from perdure.errors import InvalidArgument
from perdure.machines.workflow import machine
from perdure.machines.workflow.update_inputs import UpdateStatus
from perdure.machines.workflow.updates import STAGE_COMPLETED
from tests.machines.builders import complete_workflow, start_timer
from tests.machines.chronicles import Chronicle, idle, update_request
from tests.machines.update_messages import accept, place, reject, respond


def test_an_answer_that_is_refused_as_a_whole_may_be_given_again() -> None:
    """Nothing of it counts (semantics 3.5.6): a speculative task and the updates it took stay with their worker."""
    story = idle()
    story.update()
    story.take()
    with pytest.raises(InvalidArgument):
        story.respond(complete_workflow(), start_timer("t", 1), messages=[reject()])

    found = [accept(), respond()]
    story.complete(*[place(message) for message in found], messages=found)
    heard = story.heard(story.last_waiter)
    assert isinstance(heard, UpdateStatus)
    assert heard.stage == STAGE_COMPLETED


def test_a_message_that_cannot_be_read_fails_the_task() -> None:
    """It is the worker's fault, whatever the bytes are, and for whom."""
    for update_id in ("u", "nobody"):
        for message, text in (
            (accept(update_id), "cannot parse invalid wire-format data"),
            (respond(update_id), "cannot parse invalid wire-format data"),
        ):
            message.body.value = b"\xff"
            story = idle()
            story.update()
            story.take()
            assert text in story.rejected(messages=[message])


def test_a_caller_who_waits_holds_the_run_in_memory() -> None:
    """Not the update: without its caller it may go when memory is short, and is asked for again."""
    story = Chronicle()
    story.begin()
    story.update()
    assert machine.pinned(story.execution)
    story.abandon_update(story.last_waiter)
    assert not machine.pinned(story.execution)
    story.take()
    found = [accept(request=update.Request.FromString(update_request("u"))), respond()]
    story.crash()
    story.complete(*[place(message) for message in found], messages=found)
    assert isinstance(story.update(), UpdateStatus)
