"""How long whoever tries something again waits: doubling from the first pause to the longest.

Whose units and limits they are is the caller's business. Policies that users write have arithmetic of their own
(`retry.py`).
"""

from __future__ import annotations

from typing import TypeVar

Number = TypeVar("Number", int, float)

_DOUBLINGS_MAX = 63
"""Beyond these any pause has long been the longest; the number stays small."""


def pause(failures: int, first: Number, longest: Number) -> Number:
    """The pause after so many failures before this one, in the unit of `first` and `longest`."""
    return min(longest, first * (1 << min(failures, _DOUBLINGS_MAX)))
