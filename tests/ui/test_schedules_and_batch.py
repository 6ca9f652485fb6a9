"""Schedules with create, edit, trigger and delete; many workflows at once; workers by their heartbeats."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .pages import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_schedule_from_its_creation_to_its_end(site: Site) -> None:
    """Created, listed, triggered, paused, edited, deleted."""
    page = site.open("/schedules/create")
    page.get_by_test_id("schedule-name-input").fill("nightly")
    page.get_by_test_id("schedule-type-input").fill("Receipt")
    page.get_by_test_id("schedule-workflow-id-input").fill("nightly-run")
    page.get_by_test_id("schedule-task-queue-input").fill("ui-queue")
    page.locator(".cm-content").first.fill('"hi"')
    page.get_by_role("button", name="Every hour").click()
    site.shoot("schedule-create")
    page.get_by_test_id("create-schedule-button").last.click()
    page.wait_for_url(re.compile(r"/schedules(/nightly)?(\?.*)?$"))
    site.open("/schedules")
    row = page.get_by_role("row").filter(has_text="nightly")
    expect(row).to_contain_text("Every hour")
    expect(row).to_contain_text("Running")
    site.shoot("schedule-list")
    row.get_by_role("link", name="nightly").click()
    expect(page.get_by_test_id("schedule-name")).to_contain_text("nightly")
    expect(page.get_by_text("5 Upcoming Runs")).to_be_visible()
    expect(page.get_by_text("Every hour every day").first).to_be_visible()
    _menu(site, "trigger-schedule")
    site.confirm()
    expect(page.get_by_role("link", name=re.compile("^nightly-run-")).first).to_be_visible()
    site.shoot("schedule")
    page.get_by_role("button", name="Pause", exact=True).first.click()
    site.dialog().get_by_test_id("pause-reason").fill("for a while")
    site.confirm()
    expect(page.get_by_text("for a while").first).to_be_visible()
    site.shoot("schedule-paused")
    _menu(site, "edit-schedule")
    page.get_by_test_id("schedule-type-input").fill("Order")
    page.get_by_test_id("create-schedule-button").last.click()
    expect(page.get_by_test_id("schedule-name")).to_be_visible()
    expect(page.get_by_role("link", name="Order").first).to_be_visible()
    _menu(site, "delete-schedule")
    site.confirm()
    site.open("/schedules")
    expect(page.get_by_text("No Schedules Found")).to_be_visible()


def _menu(site: Site, item: str) -> None:
    """One of the schedule's actions."""
    site.page.get_by_role("button", name="Schedule Actions").click()
    site.page.get_by_test_id(item).click()


def test_a_batch_of_workflows_is_terminated(site: Site) -> None:
    """Selected in the list, followed on the page of batch operations."""
    page = site.workflows('`WorkflowId` STARTS_WITH "batch-" AND `WorkflowType`="Order"')
    rows = page.get_by_test_id("workflows-summary-configurable-table-row")
    expect(rows).to_have_count(5)
    page.get_by_test_id("batch-actions-checkbox").first.click(force=True)
    site.shoot("batch-selected")
    page.get_by_test_id("bulk-terminate-button").first.click()
    expect(site.dialog()).to_contain_text("5 running workflows")
    site.confirm()
    site.open("/batch-operations")
    expect(page.get_by_role("row").filter(has_text=re.compile("terminate", re.I)).first).to_be_visible()
    page.get_by_role("row").filter(has_text=re.compile("terminate", re.I)).first.get_by_role("link").first.click()
    expect(page.get_by_text("5 succeeded")).to_be_visible()
    expect(page.get_by_text("Terminated by webui")).to_be_visible()
    site.shoot("batch")
    site.workflows('`WorkflowId` STARTS_WITH "batch-" AND `ExecutionStatus`="Terminated"')
    expect(rows).to_have_count(5)


def test_workers_by_their_heartbeats(site: Site) -> None:
    """The one that runs, and what it says of itself."""
    page = site.open("/workers")
    expect(page.get_by_text(re.compile(r"1\s+Worker")).first).to_be_visible()
    row = page.get_by_role("row").filter(has_text="ui-queue")
    expect(row).to_contain_text("Running")
    site.shoot("workers-list")
    row.get_by_role("link").first.click()
    expect(page.get_by_text("ui-queue").first).to_be_visible()
    expect(page.get_by_text("1.35.0").first).to_be_visible()
