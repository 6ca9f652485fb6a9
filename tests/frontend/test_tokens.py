"""Tokens are opaque, bound to their purpose, and cannot be forged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import InvalidArgument
from perdure.frontend.tokens import ForgedToken, HistoryToken, QueryToken, Tokens
from perdure.machines.workflow.task_token import TaskToken

TOKENS = Tokens(b"k" * 32)
TASK = TaskToken("ns", "wf", "run", 5, 6, 1_700_000_000_000_000_000, 2, "act")
PAGE = HistoryToken("run", 3, 9, True, ((b"b" * 16, 4), (b"c" * 16, 0)), b"tail")


def _fields(token: TaskToken) -> list[object]:
    return [getattr(token, name) for name in TaskToken.__slots__]


def test_task_token_comes_back_as_it_went_out() -> None:
    """All fields of a task token survive, for both kinds of task."""
    assert _fields(TOKENS.open_workflow_task(TOKENS.workflow_task(TASK))) == _fields(TASK)
    assert _fields(TOKENS.open_activity_task(TOKENS.activity_task(TASK))) == _fields(TASK)


def test_token_of_one_purpose_is_no_token_of_another() -> None:
    """The same fields sealed as an activity token do not open as a workflow token."""
    with pytest.raises(ForgedToken):
        TOKENS.open_workflow_task(TOKENS.activity_task(TASK))
    with pytest.raises(ForgedToken):
        TOKENS.open_query_task(TOKENS.workflow_task(TASK))
    assert TOKENS.is_task_token(TOKENS.query_task(QueryToken("ns", "q", "id")))
    assert not TOKENS.is_task_token(TOKENS.namespace_page("x"))


def test_token_of_another_cluster_is_forged() -> None:
    """A token made under another key does not open."""
    with pytest.raises(ForgedToken):
        Tokens(b"j" * 32).open_workflow_task(TOKENS.workflow_task(TASK))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_token(junk: bytes) -> None:
    """Whatever a caller sends, opening it answers `ForgedToken` and nothing else."""
    with pytest.raises(ForgedToken):
        TOKENS.open_workflow_task(junk)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_changed_bit_is_noticed(position: int, change: int) -> None:
    """A token changed in any one byte does not open."""
    token = bytearray(TOKENS.workflow_task(TASK))
    token[position % len(token)] ^= change
    with pytest.raises(ForgedToken):
        TOKENS.open_workflow_task(bytes(token))


def test_history_page_token_is_bound_to_its_workflow() -> None:
    """A page token opens for its namespace and workflow, with no run id or its own; otherwise it is InvalidArgument."""
    token = TOKENS.history_page("ns", "wf", PAGE)
    opened = TOKENS.open_history_page("ns", "wf", "", token)
    assert [getattr(opened, name) for name in HistoryToken.__slots__] == [
        getattr(PAGE, name) for name in HistoryToken.__slots__
    ]
    for namespace, workflow_id in (("other", "wf"), ("ns", "other")):
        with pytest.raises(InvalidArgument, match=r"Invalid NextPageToken\."):
            TOKENS.open_history_page(namespace, workflow_id, "", token)
    with pytest.raises(InvalidArgument, match="RunId in the request does not match"):
        TOKENS.open_history_page("ns", "wf", "other", token)
    with pytest.raises(InvalidArgument, match=r"Invalid NextPageToken\."):
        TOKENS.open_reverse_page("ns", "wf", "", token)


def test_namespace_page_token() -> None:
    """ListNamespaces goes on after the name in its token."""
    assert TOKENS.open_namespace_page(TOKENS.namespace_page("name")) == "name"
    with pytest.raises(InvalidArgument):
        TOKENS.open_namespace_page(b"garbage")
