"""Brings an answer to the run that owes what was answered. Whoever carries something pauses and tells it again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from perdure.errors import PASSING, ServiceError
from perdure.ids import ChainKey
from perdure.machines.workflow.inputs import Input

log = logging.getLogger(__name__)


async def tell(submit: Callable[[ChainKey, Input], Awaitable[object]], chain: ChainKey, answer: Input) -> bool:
    """Whether the run has taken the answer, or is gone."""
    try:
        await submit(chain, answer)
    except PASSING as error:
        log.info("an answer to %s was not taken: %s", chain, error)
        return False
    except ServiceError as error:
        log.info("an answer to %s has no receiver: %s", chain, error)
    return True
