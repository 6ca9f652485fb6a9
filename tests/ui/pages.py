"""The Web UI's pages as people use them, and what went wrong while they did."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Error, Locator, Page, Response, expect

TIMEOUT_MS = int(os.environ.get("UI_TIMEOUT_MS", "15000"))
SHOTS = os.environ.get("UI_SHOTS")
"""A folder for a picture of every page, where somebody wants to look at them."""


class Site:
    """One visitor."""

    def __init__(self, page: Page, url: str, namespace: str = "default") -> None:
        self.page = page
        self.url = url
        self.namespace = namespace
        self.errors: list[str] = []
        page.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        page.on("response", self._look)
        page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))

    def _look(self, response: Response) -> None:
        if response.status >= 400:
            try:
                text = response.text()
            except Error:
                text = ""
            self.errors.append(f"{response.status} {response.request.method} {response.url}: {text[:300]}")

    def open(self, path: str) -> Page:
        """A page of the namespace."""
        self.page.goto(f"{self.url}/namespaces/{self.namespace}{path}")
        return self.page

    def workflows(self, query: str = "") -> Page:
        """The list of workflows, filtered."""
        return self.open("/workflows" + (f"?query={quote(query)}" if query else ""))

    def workflow(self, workflow_id: str) -> Page:
        """The page of a workflow, by way of the list."""
        page = self.workflows(f'`WorkflowId`="{workflow_id}"')
        page.get_by_role("link", name=workflow_id, exact=True).first.click()
        page.wait_for_url(f"**/workflows/{workflow_id}/**")
        expect(page.get_by_role("heading", name=workflow_id)).to_be_visible()
        return page

    def tab(self, name: str) -> Page:
        """A tab of the workflow's page."""
        self.page.get_by_role("tab", name=re.compile(f"^{name}")).click()
        return self.page

    def action(self, name: str) -> Locator:
        """The dialog of one of a workflow's actions."""
        self.page.get_by_role("button", name="More Actions").click()
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        return self.dialog()

    def dialog(self) -> Locator:
        """The one that is open."""
        return self.page.locator("dialog[open]")

    def confirm(self) -> None:
        """Press the dialog's button and wait until it is gone."""
        self.dialog().get_by_test_id("confirm-modal-button").click()
        expect(self.dialog()).to_have_count(0)

    def shoot(self, name: str) -> None:
        """Take a picture."""
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(SHOTS) / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.png"))
