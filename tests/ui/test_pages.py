"""Every page that the Web UI shows of what is built, looked at in Chromium."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.service.processes import ServerProcess, free_port

from .conftest import FLAGS, await_answer
from .pages import Site
from .programs import ui_assets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_namespaces(site: Site) -> None:
    """The list, and one with its retention and search attributes."""
    page = site.page
    page.goto(site.url + "/namespaces")
    expect(page.get_by_role("link", name="second")).to_be_visible()
    site.shoot("namespaces")
    page.get_by_role("link", name="default", exact=True).click()
    site.open("")
    expect(page.get_by_test_id("namespace-retention")).to_contain_text("1 day")
    expect(page.get_by_test_id("server-version")).to_contain_text("1.32.0")
    for name, kind in (("City", "Keyword"), ("Amount", "Int"), ("TemporalReportedProblems", "KeywordList")):
        expect(page.get_by_role("row", name=re.compile(f"^{name} {kind}"))).to_be_visible()


def test_the_list_of_workflows(site: Site) -> None:
    """Counts by status agree with the rows; filters by status, type, attribute and prefix."""
    page = site.workflows()
    rows = page.get_by_test_id("workflows-summary-configurable-table-row")
    expect(page.get_by_test_id("workflow-count").first).to_be_visible()
    for status in ("TIMED OUT", "FAILED", "CANCELED", "TERMINATED"):
        expect(page.get_by_role("button", name=re.compile(rf"^\d+ {status}", re.I)).first).to_be_visible()
    expect(rows.filter(has_text="order-done").first).to_be_visible()
    site.shoot("list")
    page.get_by_role("button", name=re.compile(r"^\d+ Failed", re.I)).first.click()
    expect(rows.filter(has_text="failing")).to_have_count(1)
    for query, found in (
        ('`WorkflowType`="Order" AND `City`="Paris"', ["order-done"]),
        ("`Amount`>5", ["order-done"]),
        ('`WorkflowId` STARTS_WITH "order-ti"', ["order-timed-out", "order-timed-out-receipt"]),
        ('`ExecutionStatus`="TimedOut"', ["order-timed-out"]),
        ('`WorkflowType`="Nope"', []),
    ):
        site.workflows(query)
        expect(page.get_by_test_id("workflow-count").first).to_have_text(re.compile(rf"^\s*{len(found)}\b"))
        expect(rows).to_have_count(len(found))
        for workflow_id in found:
            expect(rows.get_by_role("link", name=workflow_id, exact=True).first).to_be_visible()


def test_a_bad_filter_is_explained(site: Site) -> None:
    """With the server's words."""
    page = site.workflows("Nope = 1")
    expect(page.get_by_text(re.compile("Nope")).last).to_be_visible()
    assert any(error.startswith("400 ") and "Nope" in error for error in site.errors)
    site.errors.clear()


def test_a_workflow_and_its_history(site: Site, tmp_path: Path) -> None:
    """Summary, input and result, timeline, history in all views, an event opened, the download."""
    page = site.workflow("order-done")
    expect(page.get_by_text("Completed", exact=False).first).to_be_visible()
    expect(page.get_by_test_id("input-and-result")).to_contain_text('"charged 7"')
    expect(page.get_by_text("charge", exact=True).first).to_be_visible()
    site.shoot("timeline")
    site.tab("Event History")
    events = page.get_by_test_id("event-summary-row")
    expect(events.first).to_contain_text("Workflow Execution Completed")
    total = events.count()
    assert total > 20
    events.filter(has_text="Activity Task Scheduled").first.click()
    expect(page.get_by_test_id("event-summary-row-expanded").first).to_contain_text("charge")
    site.shoot("history-all")
    page.get_by_test_id("compact").click()
    expect(events.filter(has_text="charge").first).to_be_visible()
    expect(events.nth(total - 1)).to_have_count(0)
    site.shoot("history-compact")
    page.get_by_test_id("json").click()
    expect(page.get_by_test_id("event-history-json").first).to_contain_text("WorkflowExecutionStarted")
    site.shoot("history-json")
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as download:
        site.dialog().get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "history.json")
    saved = json.loads((tmp_path / "history.json").read_text())
    assert len(saved["events"] if isinstance(saved, dict) else saved) == total


def test_the_tabs_of_a_workflow(site: Site) -> None:
    """Relationships, workers, metadata, search attributes, memo."""
    page = site.workflow("order-done")
    site.tab("Relationships")
    expect(page.get_by_role("link", name="order-done-receipt").first).to_be_visible()
    site.shoot("relationships")
    site.tab("Workers")
    expect(page.get_by_role("row").filter(has_text="ui-queue")).to_contain_text("Running")
    site.tab("Search Attributes")
    expect(page.get_by_text('"Paris"').first).to_be_visible()
    site.tab("Memo")
    expect(page.get_by_text('"me"').first).to_be_visible()
    page = site.workflow("order-running")
    site.tab("User Metadata")
    expect(page.get_by_test_id("user-metadata").frame_locator("iframe").first.locator("body")).to_contain_text(
        "The running one"
    )


def test_a_failed_workflow_says_why(site: Site) -> None:
    """The failure with its cause."""
    page = site.workflow("failing")
    expect(page.get_by_test_id("input-and-result")).to_contain_text("no money")


def test_pending_activities(site: Site) -> None:
    """Attempt, next retry, last failure; pause, unpause and reset."""
    page = site.workflow("stuck")
    site.tab("Pending Activities")
    expect(page.get_by_text("no stock").first).to_be_visible()
    site.shoot("pending")
    page.get_by_role("button", name="Pause", exact=True).click()
    site.confirm()
    expect(page.get_by_text("Paused").first).to_be_visible()
    site.shoot("pending-paused")
    page.get_by_role("button", name="Unpause", exact=True).click()
    site.confirm()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    page.get_by_role("button", name="Reset", exact=True).last.click()
    site.confirm()
    page.get_by_role("button", name="Update", exact=True).first.click()
    page.locator("#maximum-attempts").fill("9")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(re.compile(r"\d+\s*/\s*9")).first).to_be_visible()
    site.shoot("pending-updated")


def test_call_stack_and_queries(site: Site) -> None:
    """Both ask the worker."""
    page = site.workflow("order-running")
    site.tab("Call Stack")
    expect(page.get_by_test_id("query-call-stack")).to_contain_text("Stack for <Task pending")
    site.tab("Queries")
    expect(page.get_by_test_id("query-select")).to_have_value("notes")
    page.get_by_role("button", name="Run Query").click()
    expect(page.get_by_test_id("query-result")).to_contain_text("still here")


def test_task_queue_workers_and_archive(site: Site) -> None:
    """What polls the queue; what the namespace does not have says so."""
    page = site.open("/task-queues/ui-queue")
    expect(page.get_by_test_id("task-queue-name")).to_have_text("ui-queue")
    expect(page.get_by_role("row").filter(has_text="ui-queue")).to_contain_text("Running")
    page.get_by_role("button", name=re.compile("^Pollers")).or_(
        page.get_by_role("tab", name=re.compile("^Pollers"))
    ).click()
    expect(page.get_by_test_id("poller-identity").or_(page.get_by_test_id("worker-row")).first).to_be_visible()
    site.shoot("task-queue")
    site.open("/workers")
    expect(page.get_by_role("tab", name="Instances")).to_be_visible()
    site.shoot("workers")
    site.open("/archival")
    expect(page.get_by_test_id("archived-disabled-title")).to_be_visible()
    site.shoot("archival")


def test_the_archive(site: Site) -> None:
    """A workflow whose time in the namespace is over is found there, and read."""
    site.namespace = "archived"
    page = site.open("/archival")
    expect(page.get_by_test_id("archived-enabled-title")).to_be_visible()
    link = page.get_by_role("link", name="long-gone")
    for _ in range(20):
        page.wait_for_timeout(500)
        page.reload()
        expect(page.get_by_test_id("archived-enabled-title")).to_be_visible()
        if link.count():
            break
    link.first.click()
    expect(page.get_by_role("heading", name="long-gone")).to_be_visible()
    expect(page.get_by_text("Terminated").first).to_be_visible()


def test_the_web_ui_from_our_own_port(
    browser: Browser, server: ServerProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its files, served by Perdure under a prefix: a workflow is started, found and read."""
    assets = ui_assets()
    if assets is None:
        pytest.skip("the Web UI's files are not in Go's module cache")
    ui_port = free_port()
    flags = ("--ui-port", str(ui_port), "--ui-public-path", "/ui", "--ui-asset-path", str(assets), *FLAGS)
    with ServerProcess(tmp_path / "log", None, flags, headless=False) as perdure:
        assert any(line.endswith(f"http://localhost:{ui_port}/ui") for line in perdure.banner)
        await_answer(f"http://127.0.0.1:{ui_port}/healthz")
        site = Site(browser.new_page(), f"http://127.0.0.1:{ui_port}/ui")
        page = site.open("/workflows/start-workflow")
        page.get_by_label("Workflow ID").fill("a/b c")
        page.get_by_label("Task Queue").fill("q")
        page.get_by_label("Workflow Type").fill("T")
        page.get_by_role("button", name="Start Workflow").last.click()
        page.wait_for_url("**/workflows**")
        site.workflows()
        page.get_by_role("link", name="a/b c", exact=True).first.click()
        expect(page.get_by_role("heading", name="a/b c")).to_be_visible()
        site.tab("Event History")
        expect(page.get_by_test_id("event-summary-row").first).to_be_visible()
        site.shoot(request.node.name)
        page.close()
        assert site.errors == []


def test_pages_of_what_nobody_has_used(site: Site) -> None:
    """Empty, not broken."""
    page = site.open("/schedules")
    expect(page.get_by_text("No Schedules Found")).to_be_visible()
    site.open("/batch-operations")
    expect(page.get_by_role("heading", name="Batch Operations").first).to_be_visible()
    page.goto(site.url + "/import/events")
    expect(page.get_by_test_id("import-event-history")).to_be_visible()
    site.namespace = "second"
    site.workflows()
    expect(page.get_by_test_id("workflow-count").first).to_have_text(re.compile(r"^\s*0\b"))
    site.shoot("second-namespace")
