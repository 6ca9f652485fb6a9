"""How a queue is shared among fairness keys, and what rates of keys hold back (semantics 12.2, 12.3)."""

from __future__ import annotations

from collections import Counter

from perdure.machines.fair_line import KEYS_LIMITED_MAX, FairLine, KeyLimits
from perdure.machines.partition import Partition
from perdure.machines.task_queue import DispatchConfig, Settings, Task
from tests.machines.queues import ACTIVITIES, CHAIN, SECOND, worker


def of_key(event_id: int, key: str, weight: float = 1.0, priority: int = 3) -> Task:
    return Task(ACTIVITIES, CHAIN, "run", event_id, 1, 0, priority, event_id, None, key, weight)


def fair() -> Partition:
    return Partition(ACTIVITIES, Settings(), 0, fair=True)


def taken(line: Partition, now_ns: int = 0) -> Task | None:
    poll = worker()
    line.polled(poll, now_ns, 0)
    if poll.matched is None:
        line.left(poll, now_ns, 0, alive=True)
        return None
    return poll.matched.task


def keys_taken(line: Partition, count: int) -> list[str]:
    tasks = [taken(line) for _ in range(count)]
    return [task.fairness_key for task in tasks if task is not None]


def test_a_key_with_a_long_backlog_does_not_hold_up_another() -> None:
    line = fair()
    for n in range(100):
        line.offered(of_key(n, "greedy"), 0, 0)
    for n in range(100, 103):
        line.offered(of_key(n, "modest"), 0, 0)

    assert Counter(keys_taken(line, 6)) == {"greedy": 3, "modest": 3}


def test_keys_share_in_proportion_to_their_weights() -> None:
    line = fair()
    for n in range(400):
        line.offered(of_key(n, "heavy", 3.0), 0, 0)
        line.offered(of_key(1000 + n, "light", 1.0), 0, 0)

    assert Counter(keys_taken(line, 200)) == {"heavy": 150, "light": 50}


def test_a_weight_set_for_the_queue_overrides_what_tasks_say() -> None:
    line = fair()
    for n in range(400):
        line.offered(of_key(n, "a", 9.0), 0, 0)
        line.offered(of_key(1000 + n, "b"), 0, 0)

    line.configured(DispatchConfig(weights={"a": 1.0, "b": 4.0}), 0, 0)

    assert Counter(keys_taken(line, 100)) == {"a": 20, "b": 80}


def test_a_key_gains_nothing_by_its_silence() -> None:
    line = fair()
    for n in range(50):
        line.offered(of_key(n, "busy"), 0, 0)
    assert keys_taken(line, 40) == ["busy"] * 40
    for n in range(100, 120):
        line.offered(of_key(n, "late"), 0, 0)

    assert Counter(keys_taken(line, 10)) == {"busy": 5, "late": 5}


def test_a_more_urgent_priority_goes_before_all_fairness() -> None:
    line = fair()
    for n in range(3):
        line.offered(of_key(n, "a"), 0, 0)
    line.offered(of_key(9, "a", priority=1), 0, 0)

    first = taken(line)
    assert first is not None
    assert first.scheduled_event_id == 9


def test_within_a_key_the_order_is_that_of_arrival() -> None:
    line = fair()
    for n in range(10):
        line.offered(of_key(n, f"k{n % 2}"), 0, 0)
    tasks = [taken(line) for _ in range(10)]
    orders: dict[str, list[int]] = {"k0": [], "k1": []}
    for one in tasks:
        assert one is not None
        orders[one.fairness_key].append(one.scheduled_event_id)
    assert orders == {"k0": [0, 2, 4, 6, 8], "k1": [1, 3, 5, 7, 9]}


def test_without_fairness_keys_are_carried_and_order_nothing() -> None:
    line = Partition(ACTIVITIES, Settings(), 0)
    for n in range(6):
        line.offered(of_key(n, "a" if n < 5 else "b"), 0, 0)

    assert keys_taken(line, 6) == ["a"] * 5 + ["b"]


def test_a_key_at_its_rate_is_passed_over_and_comes_back_in_time() -> None:
    """Without fairness, too: first come first served among the keys that may go."""
    line = Partition(ACTIVITIES, Settings(), 0)
    line.configured(DispatchConfig(key_rate=1.0), 0, 0)
    for n in range(4):
        line.offered(of_key(n, "a"), 0, 0)
    line.offered(of_key(9, "b"), 0, 0)

    assert keys_taken(line, 3) == ["a", "b"]
    polls = [worker(), worker()]
    for poll in polls:
        line.polled(poll, 0, 0)
    times = []
    while line.wake_ns is not None:
        times.append(line.wake_ns)
        line.woken(times[-1], 0)
    assert times == [SECOND, 2 * SECOND]
    assert [poll.matched is not None for poll in polls] == [True, True]


def test_the_rate_of_a_key_grows_with_its_weight() -> None:
    line = Partition(ACTIVITIES, Settings(), 0)
    line.configured(DispatchConfig(key_rate=2.0, weights={"heavy": 3.0}), 0, 0)
    for n in range(20):
        line.offered(of_key(n, "heavy"), 0, 0)
        line.offered(of_key(100 + n, "light"), 0, 0)

    assert Counter(keys_taken(line, 40)) == {"heavy": 6, "light": 2}


def test_keys_stopped_by_a_rate_of_zero_go_when_it_is_unset() -> None:
    line = Partition(ACTIVITIES, Settings(), 0)
    line.configured(DispatchConfig(key_rate=0.0), 0, 0)
    line.offered(of_key(1, "a"), 0, 0)
    poll = worker()
    line.polled(poll, 0, 0)
    assert (poll.matched, line.wake_ns) == (None, None)

    assert line.configured(DispatchConfig(), 5 * SECOND, 0) == [poll]


def test_the_queue_s_own_limit_holds_beside_the_keys_limits() -> None:
    line = Partition(ACTIVITIES, Settings(), 0)
    line.configured(DispatchConfig(rate=2.0, key_rate=10.0), 0, 0)
    for n in range(10):
        line.offered(of_key(n, f"k{n}"), 0, 0)

    assert len(keys_taken(line, 10)) == 2


def test_setting_the_same_rate_again_gives_no_key_new_tokens() -> None:
    line = Partition(ACTIVITIES, Settings(), 0)
    line.configured(DispatchConfig(key_rate=1.0), 0, 0)
    for n in range(5):
        line.offered(of_key(n, "a"), 0, 0)
    assert keys_taken(line, 5) == ["a"]

    line.configured(DispatchConfig(key_rate=1.0, weights={"other": 2.0}), 0, 0)

    assert keys_taken(line, 5) == []


def test_a_task_given_back_precedes_its_key_s_others() -> None:
    line = fair()
    for n in range(4):
        line.offered(of_key(n, "a"), 0, 0)
    first = taken(line)
    assert first is not None
    line.given_back(first, 0, 0)

    again = taken(line)
    assert again is not None
    assert again.scheduled_event_id == first.scheduled_event_id


def test_what_is_remembered_of_keys_is_bounded() -> None:
    limits = KeyLimits(1.0)
    line = FairLine(True, limits)
    for n in range(3 * KEYS_LIMITED_MAX):
        line.append(of_key(n, f"k{n}"))
        one = line.pop(0)
        assert one is not None
        limits.take(one, 0)
    assert len(limits._buckets) <= KEYS_LIMITED_MAX


def test_a_worker_is_advised_to_poll_more_for_an_old_backlog_and_less_when_idle() -> None:
    """Inventory 4.21."""
    line = Partition(ACTIVITIES, Settings(), 0)
    for n in range(4):
        line.offered(of_key(n, ""), 0, 0)
    young, old, soon_after, idle = worker(), worker(), worker(), worker()
    line.polled(young, 0, 100_000_000)
    line.polled(old, 0, 300_000_000)
    line.polled(soon_after, 1, 300_000_000)
    assert taken(line) is not None
    line.polled(idle, 0, 0)
    line.offered(of_key(9, ""), 2 * SECOND, 0)

    advice = [poll.matched.scaling for poll in (young, old, soon_after, idle) if poll.matched is not None]
    assert advice == [0, 0, 0, -1]
    for n in range(20, 24):
        line.offered(of_key(n, ""), 3 * SECOND, 0)
    eager = worker()
    line.polled(eager, 3 * SECOND, SECOND)
    assert eager.matched is not None
    assert eager.matched.scaling == 1
