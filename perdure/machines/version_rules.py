"""Assignment and redirect rules of build ids, the second of Temporal's ways to version workers (16.1, deprecated).

The first assignment rule that applies names the build id of a new workflow; redirect rules move workflows of one build
id to another, along chains without cycles. Pure.
"""

from __future__ import annotations

from typing import Final

from perdure.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from perdure.machines import version_sets
from perdure.machines.queue_data import AssignmentRule, QueueData, RedirectRule

FULL_RAMP: Final = 100.0

_TARGET_IN_SET: Final = "update breaks requirement, target build ID is already a member of a version set"
_SOURCE_IN_SET: Final = "update breaks requirement, source build ID is already a member of a version set"


def with_assignment(data: QueueData, place: int, target: str, ramp: float, rules_max: int, now_ns: int) -> QueueData:
    """A rule is inserted before the one at `place`, or at the end."""
    if place < 0:
        raise InvalidArgument("rule index cannot be negative")
    _check_assignment(data, target, ramp)
    clock = data.tick(now_ns)
    rules = list(data.assignment_rules)
    rules.insert(place, AssignmentRule(target, ramp, clock))
    _check_number(rules, rules_max)
    return data.evolve(assignment_rules=tuple(rules), clock=clock)


def with_assignment_replaced(
    data: QueueData, place: int, target: str, ramp: float, force: bool, now_ns: int
) -> QueueData:
    """The rule at `place` gives way to another."""
    _check_assignment(data, target, ramp)
    _check_place(data, place)
    clock = data.tick(now_ns)
    rules = list(data.assignment_rules)
    rules[place] = AssignmentRule(target, ramp, clock)
    return _still_full(data, rules, force, clock)


def without_assignment(data: QueueData, place: int, force: bool, now_ns: int) -> QueueData:
    """The rule at `place` is deleted."""
    _check_place(data, place)
    rules = list(data.assignment_rules)
    del rules[place]
    return _still_full(data, rules, force, data.tick(now_ns))


def with_redirect(
    data: QueueData, source: str, target: str, rules_max: int, upstream_max: int, now_ns: int
) -> QueueData:
    """Workflows of `source` go on with `target`."""
    _check_redirect(data, source, target)
    if [rule for rule in data.assignment_rules if rule.target == source and rule.ramp < FULL_RAMP]:
        raise FailedPrecondition(
            "redirect rule source build ID cannot be the target of any partially-ramped assignment rule"
        )
    for rule in data.redirect_rules:
        if rule.source == source:
            raise AlreadyExists(f"source {source} already redirects to target {rule.target}")
    clock = data.tick(now_ns)
    rules = (RedirectRule(source, target, clock), *data.redirect_rules)
    if len(rules) > rules_max:
        raise FailedPrecondition(
            f"update exceeds number of redirect rules permitted in namespace ({len(rules)}/{rules_max})"
        )
    _check_graph(rules, upstream_max)
    return data.evolve(redirect_rules=rules, clock=clock)


def with_redirect_replaced(data: QueueData, source: str, target: str, upstream_max: int, now_ns: int) -> QueueData:
    """Workflows of `source` go on with another build id than so far."""
    _check_redirect(data, source, target)
    clock = data.tick(now_ns)
    others = _others(data, source)
    rules = (RedirectRule(source, target, clock), *others)
    _check_graph(rules, upstream_max)
    return data.evolve(redirect_rules=rules, clock=clock)


def without_redirect(data: QueueData, source: str, now_ns: int) -> QueueData:
    """Workflows of `source` stay with it."""
    return data.evolve(redirect_rules=_others(data, source), clock=data.tick(now_ns))


def committed(data: QueueData, target: str, worker_seen: bool, force: bool, rules_max: int, now_ns: int) -> QueueData:
    """All new workflows go to `target`, once partial rules before its own have passed."""
    if not worker_seen and not force:
        raise FailedPrecondition(
            f"no versioned poller with build ID '{target}' seen within the last 1m10s, use force=true to commit anyways"
        )
    if version_sets.place_of(data, target)[0] >= 0:
        raise FailedPrecondition(_TARGET_IN_SET)
    clock = data.tick(now_ns)
    rules = [rule for rule in data.assignment_rules if rule.target != target and rule.ramp < FULL_RAMP]
    rules.append(AssignmentRule(target, FULL_RAMP, clock))
    _check_number(rules, rules_max)
    return data.evolve(assignment_rules=tuple(rules), clock=clock)


def default_target(data: QueueData) -> str:
    """Whom the first rule for all new workflows names; "" is the unversioned worker."""
    for rule in data.assignment_rules:
        if rule.ramp >= FULL_RAMP:
            return rule.target
    return ""


def assigns_any(data: QueueData, build_ids: list[str]) -> bool:
    """Whether new workflows may be assigned to one of these build ids; rules after one for all are never asked."""
    for rule in data.assignment_rules:
        if rule.target in build_ids:
            return True
        if rule.ramp >= FULL_RAMP:
            return False
    return "" in build_ids


def redirected(data: QueueData, build_id: str) -> str:
    """Where the redirect rules lead from a build id. Rules have no cycles."""
    targets = {rule.source: rule.target for rule in data.redirect_rules}
    while build_id in targets:
        build_id = targets[build_id]
    return build_id


def upstream(data: QueueData, build_id: str) -> list[str]:
    """A build id and all whose workflows redirect rules bring to it."""
    sources: dict[str, list[str]] = {}
    for rule in data.redirect_rules:
        sources.setdefault(rule.target, []).append(rule.source)
    found = [build_id]
    for one in found:
        found.extend(sources.get(one, ()))
    return found


def _check_assignment(data: QueueData, target: str, ramp: float) -> None:
    if not 0 <= ramp <= FULL_RAMP:
        raise InvalidArgument("ramp percentage must be in range [0, 100]")
    if version_sets.place_of(data, target)[0] >= 0:
        raise FailedPrecondition(_TARGET_IN_SET)
    if ramp < FULL_RAMP and [rule for rule in data.redirect_rules if rule.source == target]:
        raise FailedPrecondition(
            "update breaks requirement, this build ID cannot be the target of a partially-ramped assignment rule "
            "because it is the source of a redirect rule"
        )


def _check_place(data: QueueData, place: int) -> None:
    length = len(data.assignment_rules)
    if not 0 <= place < length:
        raise InvalidArgument(f"rule index {place} is out of bounds for assignment rule list of length {length}")


def _check_number(rules: list[AssignmentRule], rules_max: int) -> None:
    if len(rules) > rules_max:
        raise FailedPrecondition(
            f"update exceeds number of assignment rules permitted in namespace ({len(rules)}/{rules_max})"
        )


def _still_full(data: QueueData, rules: list[AssignmentRule], force: bool, clock: int) -> QueueData:
    """Whoever has a rule for all new workflows loses the last one only by force."""
    had = [rule for rule in data.assignment_rules if rule.ramp >= FULL_RAMP]
    if had and not force and not [rule for rule in rules if rule.ramp >= FULL_RAMP]:
        raise FailedPrecondition(
            "at least one fully-ramped assignment rule must exist (use force=true to bypass this requirement and set "
            "the unversioned queue as the default)"
        )
    return data.evolve(assignment_rules=tuple(rules), clock=clock)


def _check_redirect(data: QueueData, source: str, target: str) -> None:
    if not target:
        raise InvalidArgument("the unversioned build ID cannot be the target of a redirect rule")
    if version_sets.place_of(data, source)[0] >= 0:
        raise FailedPrecondition(_SOURCE_IN_SET)
    if version_sets.place_of(data, target)[0] >= 0:
        raise FailedPrecondition(_TARGET_IN_SET)


def _others(data: QueueData, source: str) -> tuple[RedirectRule, ...]:
    others = tuple([rule for rule in data.redirect_rules if rule.source != source])
    if len(others) == len(data.redirect_rules):
        raise NotFound(f"no redirect rule found with source ID {source}")
    return others


def _check_graph(rules: tuple[RedirectRule, ...], upstream_max: int) -> None:
    """Sources are unique, so a cycle is a walk that comes back, and what lies upstream of a target is a tree."""
    targets = {rule.source: rule.target for rule in rules}
    for rule in rules:
        at = rule.source
        for _ in rules:
            at = targets.get(at, "")
            if at == rule.source:
                raise FailedPrecondition("update would break acyclic requirement")
    data = QueueData(redirect_rules=rules)
    for target in dict.fromkeys([rule.target for rule in rules]):
        count = len(upstream(data, target)) - 1
        if count > upstream_max:
            raise FailedPrecondition(
                f"update exceeds number of upstream build ids permitted in namespace ({count}/{upstream_max})"
            )
