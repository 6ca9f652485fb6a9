"""Budgets that tell a busy peer from an abusive one.

Pure: time comes in. A budget is a leaky bucket in points; useful work may pay points back.
"""

from __future__ import annotations

from typing import final


@final
class Budget:
    """`capacity` points at once, `per_second` points a second in the long run."""

    __slots__ = ("_at", "_capacity", "_level", "_per_second")

    def __init__(self, capacity: float, per_second: float, now: float) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._level = capacity
        self._at = now

    def spend(self, points: float, now: float) -> bool:
        """Take points; False when there are not enough left."""
        self._level = min(self._capacity, self._level + (now - self._at) * self._per_second) - points
        self._at = now
        return self._level >= 0

    def earn(self, points: float) -> None:
        """Useful work pays points back, never above the capacity."""
        self._level = min(self._capacity, self._level + points)
