"""Which workflow sends a signal or a cancel request: a plain value that the receiver checks (semantics 9.3)."""

from __future__ import annotations

from typing import final


@final
class Origin:
    """The workflow that sends a signal or a cancel request. With `child_only` the receiver must be its child.

    What it sends is known again by its request id in the whole chain, not in one run (DESIGN 1.2). `branches` are the
    sender's, for a child that another run asked for before a reset put the sender in its place.
    """

    __slots__ = ("branches", "child_only", "run_id", "workflow_id")

    def __init__(
        self, workflow_id: str, run_id: str, child_only: bool, branches: tuple[tuple[bytes, int], ...] = ()
    ) -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.child_only = child_only
        self.branches = branches
