"""Version sets, rules of build ids, and the stored form of what a queue is told (semantics 12.3, 16.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perdure.errors import FailedPrecondition
from perdure.machines import version_rules, version_sets
from perdure.machines.queue_data import EMPTY, QueueData, RateLimit, TypeConfig, decoded, encoded

NOW = 1_000


def sets_of(data: QueueData) -> list[list[str]]:
    return [one.names() for one in data.version_sets]


def grown(*build_ids: str) -> QueueData:
    data = EMPTY
    for build_id in build_ids:
        data = version_sets.with_new_default_set(data, build_id, NOW)
    return data


def test_what_is_stored_comes_back() -> None:
    limit = RateLimit(1.5, "why", "who", 7)
    data = version_sets.with_compatible(grown("1", "2"), "1.1", "1", True, NOW)
    data = version_rules.with_assignment(data, 0, "3", 25.0, 10, NOW)
    data = version_rules.with_redirect(data, "4", "5", 10, 10, NOW)
    data = data.evolve(configs={1: TypeConfig(weights={"k": 2.0}), 2: TypeConfig(limit, RateLimit(None, "", "", 8))})

    again = decoded(encoded(data), 3)

    assert encoded(again) == encoded(data)
    assert (sets_of(again), again.clock, again.version) == (sets_of(data), data.clock, 3)
    dispatch = again.configs[2].dispatch()
    assert (dispatch.rate, dispatch.key_rate, again.configs[1].dispatch().weights) == (1.5, None, {"k": 2.0})


@pytest.mark.parametrize(
    "again",
    [
        lambda data: version_sets.with_new_default_set(data, "3", NOW),
        lambda data: version_sets.with_compatible(data, "1.1", "1", False, NOW),
        lambda data: version_sets.with_set_promoted(data, "3", NOW),
        lambda data: version_sets.with_promoted_in_set(data, "1.1", NOW),
        lambda data: version_sets.with_sets_merged(data, "1", "1.1", NOW),
    ],
)
def test_an_operation_repeated_changes_nothing(again: Callable[[QueueData], QueueData]) -> None:
    data = version_sets.with_compatible(grown("1", "2"), "1.1", "1", False, NOW)
    data = version_sets.with_new_default_set(data, "3", NOW)

    assert again(data) is data


def test_the_clock_rises_with_every_change_though_time_stands_still() -> None:
    data = grown("1", "2", "3")
    clocks = [one.default_ns for one in data.version_sets]
    assert clocks == sorted(set(clocks))
    assert data.clock == clocks[-1]


def test_a_merge_keeps_the_primary_s_default_and_the_place_of_the_later_set() -> None:
    data = version_sets.with_compatible(grown("1", "2", "3"), "1.1", "1", False, NOW)

    assert sets_of(version_sets.with_sets_merged(data, "1", "2", NOW)) == [["1", "2", "1.1"], ["3"]]
    assert sets_of(version_sets.with_sets_merged(data, "2", "3", NOW)) == [["1", "1.1"], ["3", "2"]]


def test_what_may_still_come_to_a_build_id() -> None:
    data = version_rules.with_redirect(EMPTY, "1", "2", 10, 10, NOW)
    data = version_rules.with_redirect(data, "0", "1", 10, 10, NOW)
    data = version_rules.with_assignment(data, 0, "9", 100.0, 10, NOW)
    data = version_rules.with_assignment(data, 1, "0", 100.0, 10, NOW)

    assert version_rules.upstream(data, "2") == ["2", "1", "0"]
    assert version_rules.assigns_any(data, ["9"])
    assert not version_rules.assigns_any(data, version_rules.upstream(data, "2")), "a rule after one for all"
    assert not version_rules.assigns_any(data, [""])
    assert version_rules.default_target(data) == "9"


def test_chains_of_redirects_are_bounded() -> None:
    data = EMPTY
    for n in range(3):
        data = version_rules.with_redirect(data, str(n), str(n + 1), 10, 3, NOW)
    with pytest.raises(FailedPrecondition, match="upstream build ids"):
        version_rules.with_redirect(data, "3", "4", 10, 3, NOW)
    with pytest.raises(FailedPrecondition, match="number of redirect rules"):
        version_rules.with_redirect(data, "a", "b", 3, 3, NOW)
    with pytest.raises(FailedPrecondition, match="acyclic"):
        version_rules.with_redirect(data, "3", "0", 10, 9, NOW)
