"""What people do in the Web UI: start, signal, update, cancel, terminate, reset, pause workflows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .pages import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_start_a_workflow(site: Site) -> None:
    """With an input; the worker runs it."""
    page = site.open("/workflows/start-workflow")
    page.get_by_label("Workflow ID").fill("from-the-ui")
    page.get_by_label("Task Queue").fill("ui-queue")
    page.get_by_label("Workflow Type").fill("Receipt")
    page.locator(".cm-content").first.fill('"hello"')
    page.get_by_role("button", name="Start Workflow").last.click()
    expect(page.get_by_text("Workflow started successfully").first).to_be_attached()
    page = site.workflow("from-the-ui")
    expect(page.get_by_test_id("input-and-result")).to_contain_text("HELLO")


def test_signal_a_workflow(site: Site) -> None:
    """And the history shows it."""
    page = site.workflow("order-to-signal")
    dialog = site.action("Send a Signal")
    dialog.get_by_test_id("signal-select-button").click()
    page.get_by_role("option", name="note").click()
    dialog.locator(".cm-content").first.fill('"from the ui"')
    site.confirm()
    site.tab("Event History")
    expect(
        page.get_by_test_id("event-summary-row").filter(has_text="Workflow Execution Signaled").first
    ).to_be_visible()


def test_update_a_workflow(site: Site) -> None:
    """And the history shows its outcome."""
    page = site.workflow("order-to-signal")
    dialog = site.action("Send an Update")
    dialog.get_by_test_id("update-select-button").click()
    page.get_by_role("option", name="rename").click()
    dialog.locator(".cm-content").first.fill('"green"')
    site.confirm()
    expect(page.get_by_text("Update successful").first).to_be_attached()
    site.tab("Event History")
    done = page.get_by_test_id("event-summary-row").filter(has_text="Workflow Execution Update Completed")
    expect(done.first).to_contain_text("now green")


def test_cancel_a_workflow(site: Site) -> None:
    """Until it says so itself."""
    page = site.workflow("order-to-cancel")
    site.action("Request Cancellation")
    site.confirm()
    expect(page.get_by_text("Canceled").first).to_be_visible()


def test_terminate_a_workflow(site: Site) -> None:
    """With a reason, which the result shows."""
    page = site.workflow("order-to-terminate")
    dialog = site.action("Terminate")
    dialog.get_by_role("textbox").fill("no longer needed")
    site.confirm()
    expect(page.get_by_text("Terminated").first).to_be_visible()
    expect(page.get_by_text("no longer needed").first).to_be_visible()


def test_reset_a_workflow(site: Site) -> None:
    """To its first workflow task; the new run runs to its end."""
    page = site.workflow("order-to-reset")
    page.get_by_role("button", name="Reset", exact=True).first.click()
    dialog = site.dialog()
    dialog.get_by_test_id("workflow-reset-event-id-select-button").click()
    page.get_by_role("option").last.click()
    dialog.get_by_test_id("reset-reason").fill("again")
    site.confirm()
    expect(page.get_by_test_id("workflow-reset-alert")).to_be_visible()
    page.get_by_test_id("workflow-reset-alert").get_by_role("link").first.click()
    expect(page.get_by_test_id("input-and-result")).to_contain_text("charged 3")


def test_pause_and_unpause_a_workflow(site: Site) -> None:
    """A paused one says so."""
    page = site.workflow("order-running")
    page.get_by_role("button", name="Pause Workflow").first.click()
    site.confirm()
    expect(page.get_by_test_id("workflow-paused-alert")).to_be_visible()
    site.shoot("paused")
    page.get_by_role("button", name=re.compile("Unpause Workflow|Resume Workflow")).first.click()
    site.confirm()
    expect(page.get_by_test_id("workflow-paused-alert")).to_have_count(0)
