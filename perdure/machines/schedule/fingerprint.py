"""A 32-bit FarmHash fingerprint, for jitter that falls on the second that Temporal's would fall on (semantics 13.4).

Only keys longer than 24 bytes are known here: what is hashed is a time of 15 bytes and a seed that begins with a
namespace id.
"""

from __future__ import annotations

KEY_BYTES_MIN = 25
_WORD = 0xFFFF_FFFF
_C1 = 0xCC9E_2D51
_C2 = 0x1B87_3593
_BLOCK = 20


def fingerprint32(key: bytes) -> int:
    """The fingerprint of a key of at least `KEY_BYTES_MIN` bytes."""
    size = len(key)
    if size < KEY_BYTES_MIN:
        raise AssertionError(f"a key of {size} bytes is too short")
    h, g = size, _C1 * size & _WORD
    f = g
    tails = [_spread(_word(key, size - back)) for back in (4, 8, 16, 12, 20)]
    h = _fold(_fold(h ^ tails[0]) ^ tails[2])
    g = _fold(_fold(g ^ tails[1]) ^ tails[3])
    f = _turn(f + tails[4] & _WORD, 19) + 113 & _WORD
    for start in range(0, (size - 1) // _BLOCK * _BLOCK, _BLOCK):
        a, b, c, d, e = (_word(key, start + at) for at in (0, 4, 8, 12, 16))
        h, g, f = h + a & _WORD, g + b & _WORD, f + c & _WORD
        h = _mix(d, h) + e & _WORD
        g = _mix(c, g) + a & _WORD
        f = _mix(b + e * _C1 & _WORD, f) + d & _WORD
        f = f + g & _WORD
        g = g + f & _WORD
    for turn in (11, 17):
        g = _turn(g, turn) * _C1 & _WORD
        f = _turn(f, turn) * _C1 & _WORD
    for other in (g, f):
        h = _turn(_fold(h + other & _WORD), 17) * _C1 & _WORD
    return h


def _word(key: bytes, at: int) -> int:
    return int.from_bytes(key[at : at + 4], "little")


def _turn(word: int, by: int) -> int:
    return word >> by | word << 32 - by & _WORD


def _spread(word: int) -> int:
    return _turn(word * _C1 & _WORD, 17) * _C2 & _WORD


def _fold(word: int) -> int:
    return _turn(word, 19) * 5 + 0xE654_6B64 & _WORD


def _mix(word: int, into: int) -> int:
    return _fold(into ^ _spread(word))
