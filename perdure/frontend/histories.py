"""Pages of history for answers, put together from stored fragments: events are not decoded (DESIGN 1.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perdure.api import history
from perdure.api.splice import slice_events, split_entries
from perdure.errors import HistoryGone
from perdure.frontend.services import Services

if TYPE_CHECKING:
    from perdure.store.api import Fragment

PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""A page stops after the fragment with which it reaches this size, so that a message stays small for every client."""

PAGE_FRAGMENTS_MAX: Final = 256
"""Pages count batches of events, as the reference's do (`frontend.historyMaxPageSize`)."""


class Page:
    """Events [first, `next_event_id`) as bytes of a serialized `History`."""

    __slots__ = ("body", "next_event_id")

    def __init__(self, body: bytes, next_event_id: int) -> None:
        self.body = body
        self.next_event_id = next_event_id


async def read_page(
    services: Services, branches: tuple[tuple[bytes, int], ...], first: int, next_event_id: int, fragments_max: int
) -> Page:
    """A page from `first` on: at most `fragments_max` batches and about `PAGE_BYTES_MAX` bytes, at least one batch."""
    fragments = await services.engine.histories.read(branches, first, next_event_id, PAGE_BYTES_MAX)
    bodies: list[bytes] = []
    position = first
    for fragment in fragments[:fragments_max]:
        bodies.append(_cut(fragment, position, next_event_id))
        position = min(fragment.next_event_id, next_event_id)
    if position == first and first < next_event_id:
        raise HistoryGone
    return Page(b"".join(bodies), position)


async def read_page_reverse(
    services: Services, branches: tuple[tuple[bytes, int], ...], last: int, fragments_max: int
) -> Page:
    """A page of the events up to `last`, newest first.

    `next_event_id` is the first event of it, where the next page ends.
    """
    fragments = await services.engine.histories.read(branches, 1, last + 1, PAGE_BYTES_MAX, True)
    bodies: list[bytes] = []
    position = last + 1
    for fragment in fragments[:fragments_max]:
        entries = split_entries(_cut(fragment, 1, position))
        entries.reverse()
        bodies.extend(entries)
        position = fragment.first_event_id
    if position == last + 1 and last > 0:
        raise HistoryGone
    return Page(b"".join(bodies), position)


def _cut(fragment: Fragment, first: int, next_event_id: int) -> bytes:
    """A fragment's events in [first, next_event_id); nearly always all of them."""
    if fragment.first_event_id >= first and fragment.next_event_id <= next_event_id:
        return fragment.body
    return slice_events(fragment.body, first, next_event_id)


async def read_event(
    services: Services, branches: tuple[tuple[bytes, int], ...], event_id: int
) -> history.HistoryEvent:
    """One event, which exists as long as its run does."""
    body = await services.engine.histories.find(branches, event_id)
    if body is None:
        raise HistoryGone
    return history.HistoryEvent.FromString(body)
