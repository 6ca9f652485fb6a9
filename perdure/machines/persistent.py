"""Persistent maps, of which a run has two dozen and most are empty.

An empty map is one object for all: `Map()` makes a new one each time, which the collector then walks for as long as the
run is in memory. Maps are never changed, so nobody can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from immutables import Map

K = TypeVar("K")
V = TypeVar("V")

EMPTY: Final[Map[Any, Any]] = Map()


def map_of(entries: Mapping[K, V]) -> Map[K, V]:
    """A map of these entries."""
    return Map(entries) if entries else EMPTY
