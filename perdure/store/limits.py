"""Bounds that every store shares (STYLE rule 10).

They belong to the port's contract and must not differ between stores.
"""

from __future__ import annotations

KEYS_MAX = 1_000
"""Most keys in one `load_parts`."""

FRAGMENTS_RECLAIMED_MAX = 4_096
"""Most fragments that one `Reclaim` deletes; the oldest go first."""
