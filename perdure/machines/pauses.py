"""How long whoever carries something waits before it is tried again: doubling from the first pause to the longest."""

from __future__ import annotations

_DOUBLINGS_MAX = 20
"""Beyond these any pause here has long been the longest; the number stays small."""


def pause_s(failures: int, first_s: float, longest_s: float) -> float:
    """The pause after so many failures before this one, in seconds."""
    return min(longest_s, first_s * (1 << min(failures, _DOUBLINGS_MAX)))
