"""Settings in which a star stands for any text, as regular expressions that no text can make slow."""

from __future__ import annotations

import re


def starred(pattern: str) -> str:
    """The expression of a pattern; `re.DOTALL` lets its stars stand for lines' ends too.

    What is between two stars is looked for once, where it comes first: going back would not help, and would take the
    text's length to the power of the stars. Texts are long and hostile.
    """
    first, *rest = map(re.escape, pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return first + middle + (f".*{rest[-1]}" if rest else "")
