"""The numbers of what a run stores beside its core, all in one place, for they are stored and never reused.

A *part* is an entry of one of the run's collections: a pending activity, a timer, a remembered id. While a collection
is small it lives in the core; once *spilled*, each of its entries is a row of its own (codec.py), and its bit stands in
`Execution.parts_spilled`. Nothing here knows what an entry is.
"""

from __future__ import annotations

from typing import Final

PART_ACTIVITY: Final = 1
PART_TIMER: Final = 2
PART_BUFFERED: Final = 3
PART_MEMO: Final = 4
PART_SEARCH_ATTRIBUTE: Final = 5
PART_CHILD: Final = 6
PART_EXTERNAL_SIGNAL: Final = 7
PART_EXTERNAL_CANCEL: Final = 8
PART_CALLBACK: Final = 9
"""This and the three before it are also first halves of items that are owed (owed.py)."""
PART_SIGNAL_EVENT: Final = 10

PART_SIGNAL_ID: Final = 128
"""From here on parts are fetched by key and never all loaded (`store.api.KEYED`)."""
PART_START_REQUEST: Final = 129
"""Of a chain (its run id is the chain's digest): a start request id -> the run it made."""
PART_COMPLETED_UPDATE: Final = 131

ACTIVITIES_SPILLED: Final = 1
TIMERS_SPILLED: Final = 2
BUFFERED_SPILLED: Final = 4
MEMO_SPILLED: Final = 8
SEARCH_ATTRIBUTES_SPILLED: Final = 16
SIGNAL_IDS_SPILLED: Final = 32
CHILDREN_SPILLED: Final = 64
EXTERNAL_SIGNALS_SPILLED: Final = 128
EXTERNAL_CANCELS_SPILLED: Final = 256
CALLBACKS_SPILLED: Final = 512
SIGNAL_EVENTS_SPILLED: Final = 1024
COMPLETED_UPDATES_SPILLED: Final = 1 << 16
BY_KEY_SPILLED: Final = SIGNAL_IDS_SPILLED | COMPLETED_UPDATES_SPILLED
"""Collections of a run that are not loaded with it."""
