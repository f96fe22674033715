"""A real Chromium for the tests that look at pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Root has no sandbox; the rest keeps the browser from asking anything of the outside.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserMissing(Exception):
    """There is no Chromium to start on this machine."""


def chromium_path() -> str:
    """Where the browser is: what CHROMIUM names, else the first of the usual names on the PATH."""
    for name in (os.environ.get("CHROMIUM", ""), *NAMES):
        if name and (found := shutil.which(name)):
            return found
    raise BrowserMissing("no Chromium for the tests: install the package chromium, or name it in CHROMIUM")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless browser and close it at the end of the block.

    Under the pages' strict CSP wait for locators: `wait_for_function` needs eval and fails.
    """
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), headless=True)
        try:
            yield browser
        finally:
            browser.close()
