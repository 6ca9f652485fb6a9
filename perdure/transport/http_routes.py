"""Path templates of `google.api.http`, and which RPC a request's verb and path mean. Pure.

A template is `/namespaces/{namespace}/workflows/{execution.workflow_id}/history`: literal segments, variables of one
segment, perhaps `{name=**}` for all that is left. A path is cut at its slashes first and percent-decoded then, so an
id may hold a slash. (The reference's HTTP port decodes first, and knows no such id; its Web UI server does as we do.)
Where templates overlap, the one declared last wins, as with grpc-gateway.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, final
from urllib.parse import unquote_to_bytes

from perdure.api import HttpRule

DEEP: Final = -1
"""Number of segments of a template that takes as many as there are."""


class Match(NamedTuple):
    """A rule, and the values of its path variables in the order of the template."""

    rule: HttpRule
    variables: tuple[tuple[str, str], ...]


class BadPath(ValueError):
    """The path holds a `%` that is no escape, or bytes that are no UTF-8."""


_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VARIABLE: Final = re.compile(r"\{([^}=]+)(?:=([^}]*))?\}")


@final
class _Template:
    """A template, cut into segments: a literal is itself, a variable is None there."""

    __slots__ = ("deep", "literals", "names", "rule")

    def __init__(self, rule: HttpRule) -> None:
        self.rule = rule
        self.literals: list[str | None] = []
        self.names: list[str] = []
        self.deep = False
        for segment in rule.template.removeprefix("/").split("/"):
            variable = _VARIABLE.fullmatch(segment)
            if variable is None:
                assert not set(segment) & set("{}*:"), f"a kind of template that is not known: {rule.template}"
                self.literals.append(segment)
                continue
            assert variable[2] in (None, "*", "**"), f"a kind of template that is not known: {rule.template}"
            assert not self.deep, "nothing comes behind all that is left"
            self.deep = variable[2] == "**"
            self.names.append(variable[1])
            self.literals.append(None)

    def values(self, segments: Sequence[str]) -> list[str] | None:
        """The raw values of the variables; None when the path is another."""
        if self.deep:
            last = len(self.literals) - 1
            if len(segments) < last:
                return None
            segments = [*segments[:last], "/".join(segments[last:])]
        elif len(segments) != len(self.literals):
            return None
        found = []
        for literal, segment in zip(self.literals, segments, strict=True):
            if literal is None:
                found.append(segment)
            elif literal != segment:
                return None
        return found


@final
class Routes:
    """All bindings. Paths are raw: as they were sent, without their query."""

    def __init__(self, rules: Sequence[HttpRule]) -> None:
        self._by_shape: dict[tuple[str, int], list[_Template]] = {}
        self._verbs = sorted({rule.verb for rule in rules})
        for rule in reversed(rules):
            template = _Template(rule)
            shape = (rule.verb, DEEP if template.deep else len(template.literals))
            self._by_shape.setdefault(shape, []).append(template)

    def find(self, verb: str, path: str) -> Match | None:
        """The rule that verb and path mean. Raises BadPath."""
        segments = path.removeprefix("/").split("/")
        for shape in ((verb, len(segments)), (verb, DEEP)):
            for template in self._by_shape.get(shape, ()):
                values = template.values(segments)
                if values is not None:
                    decoded = [_decode(value) for value in values]
                    return Match(template.rule, tuple(zip(template.names, decoded, strict=True)))
        return None

    def other_verbs(self, verb: str, path: str) -> list[str]:
        """Verbs under which the path would mean something. Raises BadPath."""
        return [other for other in self._verbs if other != verb and self.find(other, path) is not None]


def _decode(segment: str) -> str:
    wrong = _BAD_ESCAPE.search(segment)
    if wrong is not None:
        raise BadPath(f'malformed path escape "{segment[wrong.start() : wrong.start() + 3]}"')
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise BadPath("the path is no UTF-8") from None
