"""Identities: chains, slots, run ids, and the port that makes fresh ids.

A chain `(namespace, kind, id)` is what is serialized and committed atomically (DESIGN 1.2). It is addressed by a
16-byte digest, so that the store's one random-order index is short, and it hashes to one of 4,096 slots, fixed for
ever. Run ids are UUIDs of version 7: rows keyed by them are laid down in insertion order (DESIGN 5).
"""

from __future__ import annotations

import hashlib
import os
import random
from enum import IntEnum
from typing import Final, Protocol, final

SLOTS = 4096
"""How many slots there are. Changing it would move every chain: never."""


class Kind(IntEnum):
    """The kinds of durable entities; numbers are stored and never reused."""

    WORKFLOW = 1
    SCHEDULE = 2
    BATCH = 3
    NAMESPACE_DELETION = 4
    PROBE = 255
    """Nobody's entity: what tests of the runner run."""


@final
class ChainKey:
    """The identity of one chain. Equal keys have equal digests; the digest is what stores and mailboxes use."""

    __slots__ = ("digest", "id", "kind", "namespace_id", "slot")

    def __init__(self, namespace_id: str, kind: int, id: str) -> None:
        self.namespace_id = namespace_id
        self.kind = kind
        self.id = id
        text = f"{namespace_id}\0{kind}\0{id}"
        self.digest: bytes = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self.slot: int = slot_of(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChainKey) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"ChainKey({self.namespace_id!r}, {self.kind}, {self.id!r})"


def slot_of(digest: bytes) -> int:
    """The slot of a chain's digest: its first twelve bits."""
    return digest[0] << 4 | digest[1] >> 4


def uuid_text(raw: bytes) -> str:
    """16 bytes as the usual 36 characters."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid_bytes(text: str) -> bytes | None:
    """The 16 bytes of a UUID's 36 characters, or None when the text is not one."""
    if len(text) != 36 or text[8] != "-" or text[13] != "-" or text[18] != "-" or text[23] != "-":
        return None
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    # Further dashes or blanks leave fewer digits than 16 bytes need.
    return raw if len(raw) == 16 else None


def uuid7(now_ns: int, entropy: int) -> str:
    """A version-7 UUID for `now_ns`, from 74 bits of `entropy`; ids made in one millisecond are unordered among
    themselves.
    """
    millis = (now_ns // 1_000_000) & 0xFFFF_FFFF_FFFF
    value = millis << 80 | 0x7 << 76 | (entropy & 0xFFF) << 64 | 0b10 << 62 | (entropy >> 12) & 0x3FFF_FFFF_FFFF_FFFF
    return uuid_text(value.to_bytes(16, "big"))


def uuid4(entropy: int) -> str:
    """A version-4 UUID from 122 bits of `entropy`."""
    value = entropy & ~(0xF << 76) & ~(0b11 << 62) | 0x4 << 76 | 0b10 << 62
    return uuid_text((value & (1 << 128) - 1).to_bytes(16, "big"))


class IdSource(Protocol):
    """The randomness port of ids."""

    def run_id(self, now_ns: int) -> str:
        """A fresh, time-ordered run id."""
        ...

    def request_id(self) -> str:
        """A fresh random UUID for request ids and the like."""
        ...


@final
class SystemIds:
    """Ids from the operating system's randomness, fetched a page at a time: a system call costs more than an id."""

    __slots__ = ("_page", "_position")

    PAGE_BYTES: Final = 4096

    def __init__(self) -> None:
        self._page = b""
        self._position = 0

    def run_id(self, now_ns: int) -> str:
        return uuid7(now_ns, self._entropy(10))

    def request_id(self) -> str:
        return uuid4(self._entropy(16))

    def _entropy(self, size: int) -> int:
        if self._position + size > len(self._page):
            self._page = os.urandom(self.PAGE_BYTES)
            self._position = 0
        self._position += size
        return int.from_bytes(self._page[self._position - size : self._position], "big")


@final
class SeededIds:
    """Ids from a seed: the same seed gives the same ids (tests, simulation)."""

    __slots__ = ("_random",)

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def run_id(self, now_ns: int) -> str:
        return uuid7(now_ns, self._random.getrandbits(80))

    def request_id(self) -> str:
        return uuid4(self._random.getrandbits(128))
