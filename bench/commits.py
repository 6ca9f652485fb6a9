"""Instructions that the store takes for the commits of one-activity workflows, and how many pages it writes for them.

    python bench/commits.py [--workflows 100] [--together 1] [--tree CHECKOUT]

The writes are recorded from a server of this tree, then committed to a SQLite file under cachegrind: alone, or with
`--together 20` those of twenty workflows in one transaction, as a group commit has them. What is counted is the
difference between committing all and committing one group. `--tree` commits the same writes with the store of another
checkout. Pages are frames of the write-ahead log: each is summed, copied and two system calls, which no instruction
count shows. Needs valgrind and takes ten seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import pickle
import tempfile
from pathlib import Path
from typing import Any, Final

from instructions import counted, load, python_of

HERE: Final = Path(__file__).resolve()
BATCH_WRITES_MAX: Final = 128


def record(workflows: int, path: Path) -> None:
    """Writes of so many workflows, a list of (key, fields) for each commit of each workflow."""
    from perdure.store.sqlite import SqliteStore

    commits: list[Any] = []
    commit = SqliteStore.commit

    async def recording(self: Any, fence: Any, writes: Any) -> None:
        commits.append([_flat(write) for write in writes])
        await commit(self, fence, writes)

    SqliteStore.commit = recording  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        asyncio.run(load(workflows, f"{folder}/db"))
    of: dict[str, list[Any]] = {}
    for writes in commits:
        of.setdefault(writes[0]["key"][2], []).append(writes)
    path.write_bytes(pickle.dumps([of[f"wf-{number}"] for number in range(workflows)]))


def _flat(write: Any) -> dict[str, Any]:
    fields = {name: getattr(write, name) for name in type(write).__slots__}
    key = fields["key"]
    fields["key"] = (key.namespace_id, int(key.kind), key.id)
    for name in ("chain", "runs", "parts", "fragments", "visibility", "reclaim"):
        if name == "chain":
            fields[name] = None if fields[name] is None else _values(fields[name])
        else:
            fields[name] = [_values(item) for item in fields[name]]
    return fields


def _values(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in inspect.signature(type(item)).parameters}


def _built(fields: dict[str, Any]) -> Any:
    from perdure.ids import ChainKey
    from perdure.store import api
    from perdure.visibility.record import VisibilityRecord

    def make(kind: Any, values: dict[str, Any]) -> Any:
        known = inspect.signature(kind).parameters
        return kind(**{name: value for name, value in values.items() if name in known})

    kinds: dict[str, Any] = {
        "runs": api.RunPut,
        "parts": api.PartPut,
        "fragments": api.Fragment,
        "visibility": VisibilityRecord,
        "reclaim": api.Reclaim,
    }
    made = {name: tuple([make(kind, one) for one in fields[name]]) for name, kind in kinds.items()}
    chain = None if fields["chain"] is None else make(api.ChainPut, fields["chain"])
    return api.ChainWrite(ChainKey(*fields["key"]), chain, **made, drop_chain=fields["drop_chain"])


async def replay(recorded: bytes, groups: int, together: int, database: str) -> None:
    """Commits the writes of so many groups of workflows; says how many frames the log took for all but the first."""
    from perdure.store.sqlite import SqliteStore

    workflows = [[[_built(write) for write in writes] for writes in one] for one in pickle.loads(recorded)]
    batches = []
    for first in range(0, groups * together, together):
        group = workflows[first : first + together]
        batches.append(
            [[w for one in group if step < len(one) for w in one[step]] for step in range(max(map(len, group)))]
        )
    store = SqliteStore(database, {"synchronous": "normal"})
    await store.open()
    fence = await store.acquire()
    checkpointer: Any = store._checkpointer
    frames = 0
    for number, group_batches in enumerate(batches):
        before = checkpointer.log_frames()
        for batch in group_batches:
            for start in range(0, len(batch), BATCH_WRITES_MAX):
                await store.commit(fence, batch[start : start + BATCH_WRITES_MAX])
        after = checkpointer.log_frames()
        frames += after - before if number and after > before else 0
    print(frames / max(1, (len(batches) - 1) * together))
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workflows", type=int, default=100)
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--tree", type=Path, default=HERE.parents[1], help="a checkout with its own .venv")
    parser.add_argument("--replay", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--recorded", type=Path, help="where the writes are kept, and taken from if they are there")
    parser.add_argument("--database", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    together = arguments.together
    if arguments.replay:
        asyncio.run(replay(arguments.recorded.read_bytes(), arguments.replay, together, arguments.database))
        return
    with tempfile.TemporaryDirectory(prefix="perdure-bench-") as folder:
        groups = -(-arguments.workflows // together)
        recorded = arguments.recorded or Path(folder, "recorded")
        if not recorded.exists():
            record((groups + 1) * together, recorded)

        def run(groups: int) -> tuple[int, str]:
            command = [python_of(arguments.tree), str(HERE), "--replay", str(groups), "--together", str(together)]
            return counted([*command, "--recorded", str(recorded), "--database", f"{folder}/db-{groups}"], Path(folder))

        many, frames = run(groups + 1)
        one, _ = run(1)
    each = (many - one) / (groups * together)
    print(f"{each / 1e3:.0f} thousand instructions and {float(frames):.1f} pages of the log a workflow")


if __name__ == "__main__":
    main()
