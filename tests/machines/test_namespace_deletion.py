"""A deletion goes on until a pass finds nothing, whatever is lost or comes twice, and only then removes the record."""

from __future__ import annotations

import random

import pytest

from perdure.clock import DAY, SECOND
from perdure.errors import NotFound
from perdure.ids import ChainKey, Kind, SeededIds
from perdure.machines.entity import AlarmRang
from perdure.machines.env import Env, Limits, NamespaceView
from perdure.machines.namespace_deletion import (
    KINDS,
    Begin,
    Deletion,
    Leftover,
    NamespaceDeletionMachine,
    RecordRemoved,
    RemoveRecord,
    Rename,
    Renamed,
    Sweep,
    Swept,
)

KEY = ChainKey("system", Kind.NAMESPACE_DELETION, "id")
MACHINE = NamespaceDeletionMachine()


def step(state: Deletion | None, fact: object, now: int) -> Deletion | None:
    env = Env(now, SeededIds(1), NamespaceView("system", "s", DAY, {}, Limits()))
    return MACHINE.step(KEY, state, fact, env).after


@pytest.mark.parametrize("seed", range(30))
def test_everything_is_removed_before_the_record(seed: int) -> None:
    """Removals take a while, new things appear while the first passes run, facts come twice and late."""
    dice = random.Random(seed)
    left: dict[int, set[int]] = {kind: set(range(dice.randrange(30))) for kind in KINDS}
    doomed: set[tuple[int, int]] = set()
    now, delay = 1, dice.choice([0, 5 * SECOND])
    state = step(None, Begin(delay), now)
    said: list[object] = []
    for turn in range(5_000):
        assert state is not None
        now += dice.randrange(SECOND)
        if turn < 20 and dice.random() < 0.3:
            left[dice.choice(KINDS)].add(1_000 + turn)
        for one in dice.sample(sorted(doomed), len(doomed) // 2):
            left[one[0]].discard(one[1])
        owed = MACHINE.owed(state)
        fact: object = AlarmRang()
        if owed:
            (effect,) = owed
            if isinstance(effect, Rename):
                fact = Renamed("n-deleted-x")
            elif isinstance(effect, Sweep):
                start = int(effect.cursor or b"-1")
                page = sorted([one for one in left[effect.kind] if one > start])[:7]
                doomed |= {(effect.kind, one) for one in page}
                fact = Swept(effect, len(page), b"%d" % page[-1] if len(page) == 7 else b"")
            else:
                assert isinstance(effect, RemoveRecord)
                assert state.new_name == "n-deleted-x"
                if not any(left.values()):
                    assert step(state, RecordRemoved(), now) is None
                    return
                fact = Leftover()
        elif MACHINE.alarm(state) > now:
            now = MACHINE.alarm(state)
        if dice.random() < 0.2:
            continue  # Done, and lost with the process.
        said.append(fact)
        for one_fact in (fact, *dice.sample(said, min(2, len(said)))):
            assert state is not None
            after = step(state, one_fact, now)
            assert after is not None
            state = MACHINE.decode(MACHINE.encode(after))
    raise AssertionError(f"seed {seed}: it does not come to an end")


def test_the_delay_lies_between_the_last_removal_and_the_record() -> None:
    """Asked again, the last delay counts, from the moment at which nothing was left."""
    state = step(None, Begin(60 * SECOND), 1)
    assert state is not None
    state = step(state, Renamed("new"), 2)
    for _ in KINDS:
        assert state is not None
        (effect,) = MACHINE.owed(state)
        assert isinstance(effect, Sweep)
        state = step(state, Swept(effect, 0, b""), 10)
    assert state is not None
    assert MACHINE.owed(state) == ()
    assert MACHINE.alarm(state) == 60 * SECOND + 10
    state = step(state, Begin(SECOND), 11)
    assert state is not None
    assert MACHINE.alarm(state) == SECOND + 10
    state = step(state, AlarmRang(), SECOND + 10)
    assert state is not None
    assert isinstance(MACHINE.owed(state)[0], RemoveRecord)
    assert step(state, Begin(DAY), SECOND + 11) is state


def test_nothing_is_under_way_unless_begun() -> None:
    with pytest.raises(NotFound):
        step(None, Renamed("x"), 1)
