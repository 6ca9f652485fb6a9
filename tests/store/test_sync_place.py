"""Where COMMITs are synced: the loop for quick disks, the thread for slow ones."""

from __future__ import annotations

from perdure.store.sync_place import SLOW_MAX, SLOW_NS, THREAD_ROW, WINDOW, SyncPlace


def test_a_quick_disk_is_synced_on_the_loop_for_ever() -> None:
    """Even with an outlier now and then."""
    place = SyncPlace()
    for number in range(20 * WINDOW):
        assert place.on_loop
        place.synced_on_loop(SLOW_NS if number % WINDOW < SLOW_MAX - 1 else SLOW_NS - 1)


def test_a_slow_disk_is_left_to_the_thread() -> None:
    """A few stalls are enough to know."""
    place = SyncPlace()
    for _ in range(SLOW_MAX):
        assert place.on_loop
        place.synced_on_loop(SLOW_NS)
    assert not place.on_loop


def test_the_loop_is_tried_again_after_a_while() -> None:
    """A disk that was busy for a minute is not condemned."""
    place = SyncPlace()
    for _ in range(SLOW_MAX):
        place.synced_on_loop(SLOW_NS)
    for _ in range(THREAD_ROW):
        assert not place.on_loop
        place.synced_in_thread()
    assert place.on_loop
    for _ in range(WINDOW):
        place.synced_on_loop(SLOW_NS - 1)
    assert place.on_loop
