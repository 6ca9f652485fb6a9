"""Statements of the SQLite store, and the burst that applies one collapsed segment inside an open transaction.

Everything here runs on the event loop, so each function is a bounded number of statements on a bounded number of rows.
It never begins or ends a transaction. Row counts are the version checks: `executemany` sums them, and the committer
above finds the culprit by trying the members of a failed batch one by one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence

from perdure.clock import WALL
from perdure.store.api import KEYED, CommitFailed
from perdure.store.collapse import Segment
from perdure.store.limits import FRAGMENTS_RECLAIMED_MAX
from perdure.store.sql import sqlite_visibility

FENCE_HOLDS = "SELECT 1 FROM ownership WHERE first_slot = ? AND last_slot = ? AND epoch = ?"
EPOCH = "SELECT coalesce(max(epoch), 0) FROM ownership"
DISOWN = "DELETE FROM ownership"
OWN = "INSERT INTO ownership (first_slot, last_slot, epoch) VALUES (?, ?, ?)"

INSERT_CHAIN = "INSERT INTO chain (digest, slot, version, current_run_id, core) VALUES (?, ?, ?, ?, ?)"
UPDATE_CHAIN = "UPDATE chain SET version = version + ?, current_run_id = ?, core = ? WHERE digest = ? AND version = ?"
DROP_CHAIN = "DELETE FROM chain WHERE digest = ?"

INSERT_RUN = "INSERT INTO run (run_id, digest, slot, clock, version, alarm_ns, core) VALUES (?, ?, ?, ?, ?, ?, ?)"
_RUN_AT = "WHERE run_id = ? AND version = ? AND digest = ?"
UPDATE_RUN = f"UPDATE run SET version = version + ?, core = ? {_RUN_AT}"
UPDATE_RUN_ALARM = f"UPDATE run SET version = version + ?, core = ?, alarm_ns = ? {_RUN_AT}"
DELETE_RUN = "DELETE FROM run WHERE run_id = ?"

# No upsert clause: REPLACE is one B-tree operation on this table, which has no other index.
PUT_PART = "REPLACE INTO part (run_id, kind, key, body) VALUES (?, ?, ?, ?)"
DELETE_PART = "DELETE FROM part WHERE run_id = ? AND kind = ? AND key = ?"
DELETE_PARTS = "DELETE FROM part WHERE run_id = ?"

INSERT_FRAGMENT = "INSERT INTO fragment (branch_id, first_event_id, next_event_id, body) VALUES (?, ?, ?, ?)"
DELETE_FRAGMENTS = (
    "DELETE FROM fragment WHERE id IN (SELECT id FROM fragment WHERE branch_id = ? ORDER BY first_event_id LIMIT ?)"
)

LOAD_CHAIN = "SELECT version, current_run_id, core FROM chain WHERE digest = ?"
LOAD_RUN = "SELECT version, alarm_ns, core FROM run WHERE run_id = ? AND digest = ?"
LOAD_RUN_PARTS = f"SELECT kind, key, body FROM part WHERE run_id = ? AND kind < {KEYED} ORDER BY kind, key"
LOAD_PART = "SELECT body FROM part WHERE run_id = ? AND kind = ? AND key = ?"

# The page begins with the fragment that holds the first event, which begins at or before it: one step down the index
# finds it.
READ_HISTORY = """SELECT first_event_id, next_event_id, body FROM fragment
 WHERE branch_id = ?1 AND next_event_id > ?2 AND first_event_id < ?3 AND first_event_id >= coalesce(
   (SELECT max(first_event_id) FROM fragment WHERE branch_id = ?1 AND first_event_id <= ?2), ?2)
 ORDER BY first_event_id LIMIT ?4"""
READ_HISTORY_REVERSE = READ_HISTORY.replace("ORDER BY first_event_id", "ORDER BY first_event_id DESC")

DUE = f"""SELECT alarm_ns, digest, run_id FROM run
 WHERE clock = {WALL} AND alarm_ns IS NOT NULL AND alarm_ns >= ? AND alarm_ns < ? AND slot BETWEEN ? AND ?
 ORDER BY alarm_ns LIMIT ?"""
# One row for many: a thread that steps row by row would wait for the interpreter at each of them.
DUE_AS_ONE_ROW = f"SELECT json_group_array(json_array(alarm_ns, hex(digest), hex(run_id))) FROM ({DUE})"

RECORD_VERSION = "SELECT version FROM record WHERE tab = ? AND key = ?"
PUT_RECORD = "REPLACE INTO record (tab, key, version, body) VALUES (?, ?, ?, ?)"
DELETE_RECORD = "DELETE FROM record WHERE tab = ? AND key = ?"
LIST_RECORDS = "SELECT key, version, body FROM record WHERE tab = ? ORDER BY key"


def apply_segment(cursor: sqlite3.Cursor, segment: Segment, known: dict[bytes, sqlite_visibility.Row]) -> None:
    """Executes a segment's puts, then its deletions. Raises `CommitFailed` or `sqlite3.Error`.

    The caller rolls back, and empties `known` (`sqlite_visibility.put`).
    """
    if segment.chains:
        _put_chains(cursor, segment)
    born: Container[bytes] = _put_runs(cursor, segment) if segment.runs else ()
    if segment.parts:
        _put_parts(cursor, segment)
    if segment.fragments:
        cursor.executemany(
            INSERT_FRAGMENT,
            [(item.branch_id, item.first_event_id, item.next_event_id, item.body) for item in segment.fragments],
        )
    if segment.visibility:
        sqlite_visibility.put(cursor, segment.visibility, known, born)
    if segment.deletes():
        _delete(cursor, segment, known)


def _put_chains(cursor: sqlite3.Cursor, segment: Segment) -> None:
    inserts = []
    updates = []
    for digest, chain in segment.chains.items():
        if chain.expected_version == 0:
            inserts.append((digest, chain.key.slot, chain.steps, chain.current_run_id, chain.core))
        else:
            updates.append((chain.steps, chain.current_run_id, chain.core, digest, chain.expected_version))
    if inserts:
        cursor.executemany(INSERT_CHAIN, inserts)
    if updates:
        _update(cursor, UPDATE_CHAIN, updates, "chain")


def _put_runs(cursor: sqlite3.Cursor, segment: Segment) -> Container[bytes]:
    """Returns the runs that had no row."""
    inserts = []
    updates = []
    with_alarm = []
    for run_id, run in segment.runs.items():
        if run.expected_version == 0:
            inserts.append((run_id, run.key.digest, run.key.slot, WALL, run.steps, run.alarm_ns, run.core))
        elif run.alarm_changed:
            with_alarm.append((run.steps, run.core, run.alarm_ns, run_id, run.expected_version, run.key.digest))
        else:
            updates.append((run.steps, run.core, run_id, run.expected_version, run.key.digest))
    if inserts:
        cursor.executemany(INSERT_RUN, inserts)
    if updates:
        _update(cursor, UPDATE_RUN, updates, "run")
    if with_alarm:
        _update(cursor, UPDATE_RUN_ALARM, with_alarm, "run")
    return {row[0] for row in inserts} if inserts else ()


def _update(cursor: sqlite3.Cursor, statement: str, rows: Sequence[tuple[object, ...]], what: str) -> None:
    touched = cursor.executemany(statement, rows).rowcount
    if touched != len(rows):
        raise CommitFailed(f"{len(rows) - touched} of {len(rows)} {what} rows were not at their expected versions")


def _put_parts(cursor: sqlite3.Cursor, segment: Segment) -> None:
    puts = []
    deletes = []
    for place, body in segment.parts.items():
        if body is None:
            deletes.append(place)
        else:
            puts.append((*place, body))
    if puts:
        cursor.executemany(PUT_PART, puts)
    if deletes:
        cursor.executemany(DELETE_PART, deletes)


def _delete(cursor: sqlite3.Cursor, segment: Segment, known: dict[bytes, sqlite_visibility.Row]) -> None:
    runs = [(run_id,) for run_id in segment.reclaimed]
    if runs:
        cursor.executemany(DELETE_RUN, runs)
        cursor.executemany(DELETE_PARTS, runs)
        sqlite_visibility.remove(cursor, segment.reclaimed, known)
    budget = FRAGMENTS_RECLAIMED_MAX * segment.trimmed
    for branch_id in segment.branches:
        budget -= cursor.execute(DELETE_FRAGMENTS, (branch_id, budget)).rowcount
    if segment.dropped:
        cursor.executemany(DROP_CHAIN, [(digest,) for digest in segment.dropped])
