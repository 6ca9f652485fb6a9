"""Steps with thousands of things to do, in pieces: others have a turn of the loop between them (decision 021).

The step is as pure as any other, and its chain waits for it. When the chain's draft changes meanwhile (one before it
was lost), what was made on it is thrown away and the input is stepped again, as if it had only now come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from perdure.engine.entity import Entity
from perdure.engine.mail import Letter
from perdure.errors import ServiceError, Unavailable
from perdure.ids import ChainKey
from perdure.machines.env import Env
from perdure.machines.pieces import Pieces
from perdure.machines.workflow import machine
from perdure.machines.workflow.inputs import Input

if TYPE_CHECKING:
    from perdure.engine.engine import Engine

log = logging.getLogger(__name__)

T = TypeVar("T")


async def by_turns(pieces: Pieces[T], holds: Callable[[], bool]) -> T | None:
    """The result of the pieces, each in a turn of its own; None once what they are made from no longer holds."""
    while holds():
        try:
            next(pieces)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
    return None


async def step(engine: Engine, entity: Entity, letter: Letter[Input], key: ChainKey, env: Env) -> None:
    """Make the step and go on with the mailbox; the chain is busy until then."""
    state = entity.state
    try:
        async with engine.long_step:
            pieces = machine.pieces(key, state, letter.fact, env)
            transition = await by_turns(pieces, lambda: entity.state is state)
        entity.busy = False
        if transition is not None:
            engine._take(entity, letter, key, env, transition)
        else:
            entity.mailbox.appendleft(letter)
    except ServiceError as error:
        entity.busy = False
        engine._follow(entity, letter, error, [])
    except Exception:
        log.exception("a step failed: %s", type(letter.fact).__name__)
        entity.busy = False
        engine._faulty(entity, letter)
    except asyncio.CancelledError:
        letter.resolve(Unavailable("server is shutting down"))
        raise
    engine._drain(entity)
