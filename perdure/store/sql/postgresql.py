"""Statements of the PostgreSQL store: a whole segment in one statement, so that a commit is one round trip.

Each kind of row is a data-modifying CTE over `unnest`ed arrays. Such CTEs run whether or not anything reads them, so
each one joins `fence`, which locks the owner's row and is empty when the epoch has passed: then nothing is written. The
outer SELECT divides by zero when an update missed a row, which rolls the statement back. Texts depend only on which
kinds occur, so the driver's cache of prepared statements holds them all.

Text and arrays only; it must not talk to a database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import final

from perdure.clock import WALL
from perdure.store.api import KEYED
from perdure.store.collapse import Segment
from perdure.store.limits import FRAGMENTS_RECLAIMED_MAX
from perdure.visibility import sql as visibility
from perdure.visibility.predicates import Dialect
from perdure.visibility.record import VisibilityRecord
from perdure.visibility.schema import columns

LOCK_OWNERSHIP = "LOCK TABLE ownership IN EXCLUSIVE MODE"
OWN = """WITH past AS (DELETE FROM ownership RETURNING epoch)
 SELECT coalesce(max(epoch), 0) + 1 FROM past"""
INSERT_OWNER = "INSERT INTO ownership (first_slot, last_slot, epoch) VALUES ($1, $2, $3)"

LOAD = f"""SELECT chain.version, chain.current_run_id, chain.core, run.run_id, run.version, run.alarm_ns, run.core,
   parts.kinds, parts.keys, parts.bodies
 FROM chain
 LEFT JOIN run ON run.run_id = coalesce($2::bytea, chain.current_run_id) AND run.digest = chain.digest
 LEFT JOIN LATERAL (
   SELECT array_agg(kind) AS kinds, array_agg(key) AS keys, array_agg(body) AS bodies FROM (
     SELECT kind, key, body FROM part WHERE part.run_id = run.run_id AND kind < {KEYED} ORDER BY kind, key) AS ordered
   ) AS parts ON true
 WHERE chain.digest = $1"""
LOAD_PARTS = "SELECT key, body FROM part WHERE run_id = $1 AND kind = $2 AND key = ANY ($3::bytea[])"

_HISTORY = """SELECT first_event_id, next_event_id, body FROM (
   SELECT first_event_id, next_event_id, body, sum(length(body)) OVER (
     ORDER BY first_event_id {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS size_before
   FROM (SELECT * FROM fragment
     WHERE branch_id = $1 AND next_event_id > $2 AND first_event_id < $3 AND first_event_id >= coalesce(
       (SELECT max(first_event_id) FROM fragment WHERE branch_id = $1 AND first_event_id <= $2), $2)
     ORDER BY first_event_id {order} LIMIT $4) AS chunk) AS sized
 WHERE coalesce(size_before, 0) < $5 ORDER BY first_event_id {order}"""
READ_HISTORY = _HISTORY.format(order="")
READ_HISTORY_REVERSE = _HISTORY.format(order="DESC")

DUE = f"""SELECT alarm_ns, digest, run_id FROM run
 WHERE clock = {WALL} AND alarm_ns IS NOT NULL AND alarm_ns >= $1 AND alarm_ns < $2 AND slot BETWEEN $3 AND $4
 ORDER BY alarm_ns LIMIT $5"""

INSERT_RECORD = """INSERT INTO record (tab, key, version, body) VALUES ($1, $2, $3 + 1, $4)
 ON CONFLICT DO NOTHING RETURNING version"""
UPDATE_RECORD = """UPDATE record SET version = version + 1, body = $4 WHERE tab = $1 AND key = $2 AND version = $3
 RETURNING version"""
DELETE_RECORD = "DELETE FROM record WHERE tab = $1 AND key = $2 AND version = $3 RETURNING version + 1"
LIST_RECORDS = "SELECT key, version, body FROM record WHERE tab = $1 ORDER BY key"

Rows = Sequence[Sequence[object]]


def _upserted(record: VisibilityRecord) -> tuple[object, ...]:
    return visibility.upsert(Dialect.POSTGRESQL, record)[1]


_COLUMNS = columns(Dialect.POSTGRESQL)
_TYPES = [kind.split()[0] for kind in _COLUMNS.values()]
_COUNTER = "namespace_id, kind, division_key, division, workflow_type, status"


def _insert_visibility() -> str:
    text, _ = visibility.upsert(Dialect.POSTGRESQL, VisibilityRecord("", "", "", "", 1, 0, 0))
    conflict = text[text.index("ON CONFLICT") :]
    names = ", ".join(_COLUMNS)
    return (
        f"INSERT INTO visibility ({names}) SELECT {', '.join(f'u.{name}' for name in _COLUMNS)} FROM {{u}} {conflict}"
    )


def _counted(segment: Segment) -> Rows:
    """Records that are put, and runs whose records go (version NULL): what counters are computed from."""
    rows: list[tuple[object, ...]] = []
    for key, record in segment.visibility.items():
        division = visibility.division_of(record)
        place = (visibility.division_key(division), division, record.workflow_type, record.status)
        rows.append((key, record.version, record.namespace_id, record.kind, *place))
    rows.extend([(key, None, None, None, None, None, None, None) for key in segment.reclaimed])
    return rows


# One command for puts and deletions: a counter must not be touched twice in one statement. `old` is what stood there
# before the statement. The piece is the owner's own, so that owners do not wait for each other.
_COUNT = f"""INSERT INTO visibility_count ({_COUNTER}, piece, n)
 SELECT {_COUNTER}, $1::bigint, sum(n) FROM (
   SELECT u.namespace_id, u.kind, u.division_key, u.division, u.workflow_type, u.status, 1 AS n
   FROM {{u}} LEFT JOIN visibility AS old ON old.run_key = u.run_key
   WHERE u.version IS NOT NULL AND (old.run_key IS NULL OR old.version <= u.version)
   UNION ALL
   SELECT old.namespace_id, old.kind, coalesce('=' || old.division, ''), old.division, old.workflow_type, old.status, -1
   FROM {{u}} JOIN visibility AS old ON old.run_key = u.run_key
   WHERE u.version IS NULL OR old.version <= u.version) AS changed
 GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0
 ON CONFLICT (namespace_id, kind, division_key, workflow_type, status, piece)
 DO UPDATE SET n = visibility_count.n + excluded.n"""


@final
class _Kind:
    """One kind of row of a segment: its columns' types, its CTE, and whether it must touch as many rows as it is given.

    In `text`, `{u}` stands for the unnested rows, aliased `u (columns)`, joined with the fence.
    """

    __slots__ = ("checked", "columns", "rows", "text", "types")

    def __init__(
        self, columns: Sequence[str], types: Sequence[str], text: str, rows: Callable[[Segment], Rows], checked: bool
    ) -> None:
        self.columns = columns
        self.types = types
        self.text = text
        self.rows = rows
        self.checked = checked


def _kind(columns: str, text: str, rows: Callable[[Segment], Rows], checked: bool = False) -> _Kind:
    pairs = [column.split() for column in columns.split(", ")]
    return _Kind([name for name, _ in pairs], [kind for _, kind in pairs], text, rows, checked)


_KINDS = (
    _kind(
        "digest bytea, slot integer, version bigint, current_run_id bytea, core bytea",
        "INSERT INTO chain (digest, slot, version, current_run_id, core)"
        " SELECT u.digest, u.slot, u.version, u.current_run_id, u.core FROM {u}",
        lambda segment: [
            (digest, chain.key.slot, chain.steps, chain.current_run_id, chain.core)
            for digest, chain in segment.chains.items()
            if chain.expected_version == 0
        ],
    ),
    _kind(
        "digest bytea, expected bigint, steps bigint, current_run_id bytea, core bytea",
        "UPDATE chain SET version = chain.version + u.steps, current_run_id = u.current_run_id, core = u.core"
        " FROM {u} WHERE chain.digest = u.digest AND chain.version = u.expected",
        lambda segment: [
            (digest, chain.expected_version, chain.steps, chain.current_run_id, chain.core)
            for digest, chain in segment.chains.items()
            if chain.expected_version != 0
        ],
        checked=True,
    ),
    _kind(
        "run_id bytea, digest bytea, slot integer, version bigint, alarm_ns bigint, core bytea",
        "INSERT INTO run (run_id, digest, slot, clock, version, alarm_ns, core)"
        f" SELECT u.run_id, u.digest, u.slot, {WALL}, u.version, u.alarm_ns, u.core FROM {{u}}",
        lambda segment: [
            (run_id, run.key.digest, run.key.slot, run.steps, run.alarm_ns, run.core)
            for run_id, run in segment.runs.items()
            if run.expected_version == 0
        ],
    ),
    _kind(
        "run_id bytea, digest bytea, expected bigint, steps bigint, core bytea",
        "UPDATE run SET version = run.version + u.steps, core = u.core"
        " FROM {u} WHERE run.run_id = u.run_id AND run.version = u.expected AND run.digest = u.digest",
        lambda segment: [
            (run_id, run.key.digest, run.expected_version, run.steps, run.core)
            for run_id, run in segment.runs.items()
            if run.expected_version != 0 and not run.alarm_changed
        ],
        checked=True,
    ),
    _kind(
        "run_id bytea, digest bytea, expected bigint, steps bigint, alarm_ns bigint, core bytea",
        "UPDATE run SET version = run.version + u.steps, alarm_ns = u.alarm_ns, core = u.core"
        " FROM {u} WHERE run.run_id = u.run_id AND run.version = u.expected AND run.digest = u.digest",
        lambda segment: [
            (run_id, run.key.digest, run.expected_version, run.steps, run.alarm_ns, run.core)
            for run_id, run in segment.runs.items()
            if run.expected_version != 0 and run.alarm_changed
        ],
        checked=True,
    ),
    _kind(
        "run_id bytea, kind smallint, key bytea, body bytea",
        "INSERT INTO part (run_id, kind, key, body) SELECT u.run_id, u.kind, u.key, u.body FROM {u}"
        " ON CONFLICT (run_id, kind, key) DO UPDATE SET body = excluded.body",
        lambda segment: [(*place, body) for place, body in segment.parts.items() if body is not None],
    ),
    _kind(
        "run_id bytea, kind smallint, key bytea",
        "DELETE FROM part USING {u} WHERE part.run_id = u.run_id AND part.kind = u.kind AND part.key = u.key",
        lambda segment: [place for place, body in segment.parts.items() if body is None],
    ),
    _kind(
        "branch_id bytea, first_event_id bigint, next_event_id bigint, body bytea",
        "INSERT INTO fragment (branch_id, first_event_id, next_event_id, body)"
        " SELECT u.branch_id, u.first_event_id, u.next_event_id, u.body FROM {u}",
        lambda segment: [
            (item.branch_id, item.first_event_id, item.next_event_id, item.body) for item in segment.fragments
        ],
    ),
    _Kind(
        list(_COLUMNS),
        _TYPES,
        _insert_visibility(),
        lambda segment: [_upserted(record) for record in segment.visibility.values()],
        False,
    ),
    _kind(
        "run_id bytea",
        "DELETE FROM run USING {u} WHERE run.run_id = u.run_id",
        lambda segment: [(run_id,) for run_id in segment.reclaimed],
    ),
    _kind(
        "run_id bytea",
        "DELETE FROM part USING {u} WHERE part.run_id = u.run_id",
        lambda segment: [(run_id,) for run_id in segment.reclaimed],
    ),
    _kind(
        "run_key bytea, version bigint, namespace_id text, kind bigint, division_key text, division text,"
        " workflow_type text, status bigint",
        _COUNT,
        _counted,
    ),
    _kind(
        "run_id bytea",
        "DELETE FROM visibility USING {u} WHERE visibility.run_key = u.run_id",
        lambda segment: [(run_id,) for run_id in segment.reclaimed],
    ),
    _kind(
        "branch_id bytea, most bigint",
        "DELETE FROM fragment USING ("
        "SELECT doomed.branch_id, doomed.first_event_id FROM {u} CROSS JOIN LATERAL ("
        "SELECT f.branch_id, f.first_event_id FROM fragment AS f WHERE f.branch_id = u.branch_id"
        " ORDER BY f.first_event_id LIMIT u.most) AS doomed LIMIT (SELECT max(most) FROM {u})) AS gone"
        " WHERE fragment.branch_id = gone.branch_id AND fragment.first_event_id = gone.first_event_id",
        lambda segment: [(branch_id, FRAGMENTS_RECLAIMED_MAX * segment.trimmed) for branch_id in segment.branches],
    ),
    _kind(
        "digest bytea",
        "DELETE FROM chain USING {u} WHERE chain.digest = u.digest",
        lambda segment: [(digest,) for digest in segment.dropped],
    ),
)

_FENCE = (
    "fence AS MATERIALIZED (SELECT 1 FROM ownership WHERE first_slot = $1 AND last_slot = $2 AND epoch = $3 FOR SHARE)"
)


def apply_segment(segment: Segment) -> tuple[str, list[Sequence[object]]]:
    """The statement for a segment, and its arguments from the fourth on (the first three are the fence's).

    It selects whether the fence held: 1 or 0. It fails with a division by zero when a checked row was not at its
    version.
    """
    present = []
    arguments: list[Sequence[object]] = []
    for number, kind in enumerate(_KINDS):
        rows = kind.rows(segment)
        if rows:
            present.append((number, len(rows)))
            arguments.extend(zip(*rows, strict=True))
    checked = [count for number, count in present if _KINDS[number].checked]
    text = _statement(tuple([number for number, _ in present]))
    return text, [*arguments, checked] if checked else arguments


@cache
def _statement(present: tuple[int, ...]) -> str:
    ctes = [_FENCE]
    hole = 4
    counts = []
    for number in present:
        kind = _KINDS[number]
        holes = ", ".join([f"${hole + place}::{name}[]" for place, name in enumerate(kind.types)])
        hole += len(kind.types)
        unnested = f"(SELECT * FROM unnest({holes}) AS rows ({', '.join(kind.columns)}), fence) AS u"
        text = kind.text.replace("{u}", unnested)
        if kind.checked:
            text += " RETURNING 1"
            counts.append(f"(SELECT count(*) FROM k{number})")
        ctes.append(f"k{number} AS ({text})")
    held = "(SELECT count(*) FROM fence)"
    if counts:
        tests = " AND ".join([f"{count} = (${hole}::bigint[])[{place + 1}]" for place, count in enumerate(counts)])
        held = f"{held} / (CASE WHEN {held} = 0 OR ({tests}) THEN 1 ELSE 0 END)"
    return f"WITH {', '.join(ctes)} SELECT {held}"
