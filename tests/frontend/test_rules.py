"""Workflow rules over RPC: off unless switched on, kept over a restart, and refused when they make no sense."""

from __future__ import annotations

from perdure.api import workflowservice
from perdure.errors import StatusCode
from perdure.store.memory import MemoryDisk
from tests.frontend.served import Served, served

ON: dict[str, object] = {"frontend.workflowRulesAPIsEnabled": True}


def _request(rule_id: str, predicate: str = "ActivityType = 'T'") -> workflowservice.CreateWorkflowRuleRequest:
    request = workflowservice.CreateWorkflowRuleRequest(namespace="default", identity="me")
    request.spec.id = rule_id
    request.spec.activity_start.predicate = predicate
    request.spec.actions.add().activity_pause.SetInParent()
    return request


async def _create(world: Served, rule_id: str) -> None:
    await world.call("CreateWorkflowRule", _request(rule_id), workflowservice.CreateWorkflowRuleResponse)


async def test_rules_are_off_by_default() -> None:
    async with served() as world:
        error = await world.refused("CreateWorkflowRule", _request("one"))
        assert (error.code, error.message) == (
            StatusCode.UNIMPLEMENTED,
            "method CreateWorkflowRule not supported",
        )


async def test_rules_are_there_after_a_restart() -> None:
    disk = MemoryDisk()
    async with served(ON, disk=disk) as world:
        await _create(world, "one")
        await _create(world, "two")
        request = workflowservice.DeleteWorkflowRuleRequest(namespace="default", rule_id="one")
        await world.call("DeleteWorkflowRule", request, workflowservice.DeleteWorkflowRuleResponse)
    async with served(ON, disk=disk) as world:
        found = await world.call(
            "ListWorkflowRules",
            workflowservice.ListWorkflowRulesRequest(namespace="default"),
            workflowservice.ListWorkflowRulesResponse,
        )
        assert [(one.spec.id, one.created_by_identity) for one in found.rules] == [("two", "me")]
        view = world.server.namespaces.view(world.server.namespaces.by_name("default").id)
        assert view is not None
        assert [one.id for one in view.rules] == ["two"]


async def test_what_could_never_hold_or_is_not_built_is_refused() -> None:
    async with served(ON) as world:
        bad = await world.refused("CreateWorkflowRule", _request("one", "NoSuchField = 'x'"))
        assert bad.code == StatusCode.INVALID_ARGUMENT
        scan = _request("one")
        scan.force_scan = True
        assert (await world.refused("CreateWorkflowRule", scan)).code == StatusCode.UNIMPLEMENTED


async def test_an_expired_rule_makes_room() -> None:
    async with served({**ON, "frontend.maxWorkflowRulesPerNamespace": 2}) as world:
        old = _request("old")
        old.spec.expiration_time.seconds = 1
        await world.call("CreateWorkflowRule", old, workflowservice.CreateWorkflowRuleResponse)
        await _create(world, "one")
        await _create(world, "two")
        error = await world.refused("CreateWorkflowRule", _request("three"))
        assert error.message == "Workflow Rule limit exceeded. Max: 2"
