"""Sets of compatible build ids, the oldest of Temporal's three ways to version workers (semantics 16.1, deprecated).

The sets of a queue stand in the order in which they became its default, the build ids of a set in the order in which
they became its; the last of each is the default now. Every operation repeated is a no-op. Pure.
"""

from __future__ import annotations

from perdure.errors import FailedPrecondition, InvalidArgument, NotFound
from perdure.machines.queue_data import QueueData, VersionSet


def place_of(data: QueueData, build_id: str) -> tuple[int, int]:
    """Which set holds a build id and where in it; (-1, -1) when none does."""
    for place, one in enumerate(data.version_sets):
        names = one.names()
        if build_id in names:
            return place, names.index(build_id)
    return -1, -1


def within_limits(data: QueueData, sets_max: int, build_ids_max: int) -> QueueData:
    """The data, unless it has become too large."""
    sets = len(data.version_sets)
    if sets > sets_max:
        raise FailedPrecondition(
            "update would exceed number of compatible version sets permitted in namespace dynamic config "
            f"({sets}/{sets_max})"
        )
    count = sum([len(one.build_ids) for one in data.version_sets])
    if count > build_ids_max:
        raise FailedPrecondition(
            f"update would exceed number of build IDs permitted in namespace dynamic config ({count}/{build_ids_max})"
        )
    return data


def with_new_default_set(data: QueueData, build_id: str, now_ns: int) -> QueueData:
    """A build id that is compatible with no other becomes the queue's default."""
    place, _ = place_of(data, build_id)
    sets = data.version_sets
    if sets and place == len(sets) - 1 and len(sets[place].build_ids) == 1:
        return data
    if place >= 0:
        raise InvalidArgument(f"version {build_id} already exists")
    clock = data.tick(now_ns)
    return data.evolve(version_sets=(*sets, VersionSet(((build_id, clock),), clock)), clock=clock)


def with_compatible(data: QueueData, build_id: str, existing: str, make_default: bool, now_ns: int) -> QueueData:
    """A build id joins the set of another and becomes the set's default; `make_default`: the set the queue's, too."""
    beside, _ = place_of(data, existing)
    if beside < 0:
        raise NotFound(f"targeted compatible_version {existing} not found")
    place, within = place_of(data, build_id)
    if place >= 0:
        if place != beside:
            raise InvalidArgument(
                f"{build_id} requested to be made compatible with {existing} but both versions exist and are "
                "incompatible"
            )
        if make_default and place != len(data.version_sets) - 1:
            raise InvalidArgument(f"version {build_id} already exists and is not default for queue")
        if within != len(data.version_sets[place].build_ids) - 1:
            raise InvalidArgument(f"version {build_id} already exists and is not default in set")
        return data
    clock = data.tick(now_ns)
    before = data.version_sets[beside]
    grown = VersionSet((*before.build_ids, (build_id, clock)), clock if make_default else before.default_ns)
    return _with(data, beside, grown, clock)


def with_set_promoted(data: QueueData, build_id: str, now_ns: int) -> QueueData:
    """The set of a build id becomes the queue's default."""
    place, _ = place_of(data, build_id)
    if place < 0:
        raise NotFound(f"targeted version {build_id} not found")
    if place == len(data.version_sets) - 1:
        return data
    clock = data.tick(now_ns)
    return _with(data, place, VersionSet(data.version_sets[place].build_ids, clock), clock)


def with_promoted_in_set(data: QueueData, build_id: str, now_ns: int) -> QueueData:
    """A build id becomes the default of its set."""
    place, within = place_of(data, build_id)
    if place < 0:
        raise NotFound(f"targeted version {build_id} not found")
    before = data.version_sets[place]
    if within == len(before.build_ids) - 1:
        return data
    clock = data.tick(now_ns)
    others = tuple([entry for entry in before.build_ids if entry[0] != build_id])
    return _with(data, place, VersionSet((*others, (build_id, clock)), before.default_ns), clock)


def with_sets_merged(data: QueueData, primary: str, secondary: str, now_ns: int) -> QueueData:
    """Two sets become one, whose default is the primary's."""
    first, _ = place_of(data, primary)
    if first < 0:
        raise NotFound(f"targeted primary version {primary} not found")
    second, _ = place_of(data, secondary)
    if second < 0:
        raise NotFound(f"targeted secondary version {secondary} not found")
    if first == second:
        return data
    clock = data.tick(now_ns)
    kept, merged = data.version_sets[first], data.version_sets[second]
    default = kept.build_ids[-1][0]
    others = [entry for entry in (*kept.build_ids, *merged.build_ids) if entry[0] != default]
    build_ids = (*sorted(others, key=_time_of), (default, clock))
    union = VersionSet(build_ids, max(kept.default_ns, merged.default_ns))
    rest = [one for place, one in enumerate(data.version_sets) if place not in (first, second)]
    return data.evolve(version_sets=_ordered([*rest, union]), clock=clock)


def _with(data: QueueData, place: int, changed: VersionSet, clock: int) -> QueueData:
    sets = list(data.version_sets)
    sets[place] = changed
    return data.evolve(version_sets=_ordered(sets), clock=clock)


def _ordered(sets: list[VersionSet]) -> tuple[VersionSet, ...]:
    return tuple(sorted(sets, key=_default_of))


def _default_of(one: VersionSet) -> int:
    return one.default_ns


def _time_of(entry: tuple[str, int]) -> int:
    return entry[1]
