"""What the frontend found wrong with a command's search attributes; the batch decides what follows from it."""

from __future__ import annotations

from typing import final


@final
class BadSearchAttributes:
    """What is wrong with a command's search attributes: `message` in Temporal's words.

    `unmapped`: the namespace has no such attribute, which is found before anything else; `too_large`: no retry mends
    that.
    """

    __slots__ = ("message", "too_large", "unmapped")

    def __init__(self, message: str, unmapped: bool = False, too_large: bool = False) -> None:
        self.message = message
        self.unmapped = unmapped
        self.too_large = too_large
