"""Servers, and a browser with the page of one; made only for the tests that ask for them."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from pose_hrnet.deploy.server.limits import Limits
from tests.helpers import chromium, page_server
from tests.helpers.pose_page import READY, saved
from tests.helpers.serving import serving, tiny_estimator


@pytest.fixture(scope="module")
def estimator():
    """A tiny one; random."""
    return tiny_estimator()


@pytest.fixture(scope="module")
def client(estimator):
    """Asks a server of it, in this process."""
    with serving(estimator) as server, TestClient(server.app) as client:
        yield client


@pytest.fixture(scope="module")
def web_server():
    """A server that takes small files, and its address."""
    with page_server.serve(limits=Limits(max_body_bytes=400_000, max_queue=8)) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A tab of a browser that has a camera, and loads pages anew that it goes back to."""
    flags = (
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        "--disable-features=BackForwardCache",
    )  # fmt: skip
    with chromium.opened(tmp_path_factory.mktemp("chromium"), *flags) as tab:
        yield tab


@pytest.fixture
def tab(browser, web_server):
    """The page, fresh; nothing is loaded from elsewhere, and nothing goes wrong unseen."""
    browser.faults.clear()
    browser.requested.clear()
    browser.appear(1280, 900, prefers_color_scheme="light", prefers_reduced_motion="reduce")
    browser.go(web_server[1])
    browser.wait(READY)
    yield browser
    assert {each for each in browser.requested if not each.startswith(web_server[1])} == set()
    answers = [fault for fault in browser.faults if fault.get("source") == "network"]
    assert browser.faults == answers, browser.faults  # a 4xx is logged whatever a page does


@pytest.fixture
def photograph(tmp_path):
    """A grey one."""
    return saved(tmp_path / "people.jpg")
