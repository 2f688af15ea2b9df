"""A page in headless Chromium that is used as a reader uses it: clicks, keys, files, a camera.

Speaks the DevTools protocol over a pipe, so that nothing but a Chromium is needed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time

import pytest

from tests.helpers.browser import BROWSERS

PATIENCE = 60
"""Seconds for one answer; a loaded machine takes some of them."""
HAND_OVER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""Starts what follows with the ends of two pipes where Chromium looks for them."""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Delete": 46}


@contextlib.contextmanager
def opened(tmp_path, *flags, width=1280, height=900):
    """A fresh tab of a fresh browser; skips where there is none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    (to_read, to_write), (back_read, back_write) = os.pipe(), os.pipe()

    with (tmp_path / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-c", HAND_OVER, str(to_read), str(back_write),
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                "--no-first-run", "--disable-background-networking", "--disable-component-update",
                "--disable-back-forward-cache",  # pages are loaded again: that is waited for
                f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},{height}",
                *flags, "about:blank",
            ],
            stdout=log, stderr=log, pass_fds=(to_read, back_write),
        )  # fmt: skip
    os.close(to_read)
    os.close(back_write)
    try:
        tab = Tab(to_write, back_read, tmp_path / "downloads")
        yield tab
        tab.close()
        process.wait(PATIENCE)
    finally:
        os.close(to_write)
        os.close(back_read)
        process.kill()
        process.wait()


class Tab:
    """A tab, and what it said.

    Attributes:
        faults: Errors and warnings of its console, and exceptions.
        requested: Addresses that it asked for.
        downloads: The folder that files are saved into.
    """

    def __init__(self, write, read, downloads):
        self._write, self._read, self._buffer, self._sent, self._pages = write, read, b"", 0, 0
        self.faults, self.requested, self.downloads, self._saved = [], [], downloads, []
        downloads.mkdir()
        targets = self._call("Target.getTargets", session=False)["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        attach = {"targetId": target, "flatten": True}
        self._session = self._call("Target.attachToTarget", attach, session=False)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self._call(f"{domain}.enable")
        behaviour = {"behavior": "allow", "downloadPath": str(downloads), "eventsEnabled": True}
        self._call("Browser.setDownloadBehavior", behaviour, session=False)

    def _call(self, method, params=None, *, session=True):
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._sent:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self):
        """The next message; events are noted down."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            assert ready, "Chromium does not answer"
            piece = os.read(self._read, 1 << 16)
            assert piece, "Chromium is gone: see chromium.log"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(message)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.faults.append(params["exceptionDetails"].get("exception", params))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.faults.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.faults.append(params["entry"])
        elif method == "Page.domContentEventFired":
            self._pages += 1
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Browser.downloadWillBegin":
            self._saved.append([params["guid"], params["suggestedFilename"], False])
        elif method == "Browser.downloadProgress" and params["state"] == "completed":
            for each in self._saved:
                each[2] = each[2] or each[0] == params["guid"]

    def close(self):
        """End the browser and all its processes."""
        self._call("Browser.close", session=False)

    def go(self, address):
        """Open an address, and wait for its page."""
        self._open("Page.navigate", {"url": address})

    def back(self):
        """Go back to the page before, and wait for it.

        The browser is asked, not the page: a page that is left may not live to answer.
        """
        history = self._call("Page.getNavigationHistory")
        before = history["entries"][history["currentIndex"] - 1]
        self._open("Page.navigateToHistoryEntry", {"entryId": before["id"]})

    def _open(self, method, params):
        before = self._pages
        self._call(method, params)
        while self._pages == before:
            self._next()

    def wait_for_request(self, ending):
        """Until an address that ends so was asked for."""
        while not any(each.endswith(ending) for each in self.requested):
            self._next()

    def appear(self, width, height=900, *, ratio=1, **features):
        """Take a size in pixels, and media features such as ``prefers_color_scheme="dark"``."""
        size = {
            "width": width,
            "height": height,
            "deviceScaleFactor": ratio,
            "mobile": width < 600,
        }
        self._call("Emulation.setDeviceMetricsOverride", size)
        names = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self._call("Emulation.setEmulatedMedia", {"features": names})

    def ask(self, expression):
        """The value of an expression, or what its promise becomes."""
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self._call("Runtime.evaluate", params)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, condition):
        """Until an expression is true."""
        late = f"reject(Error({json.dumps(condition)} + ' never came'))"
        self.ask(
            f"new Promise((resolve, reject) => {{ const begun = performance.now(), look = () => {{"
            f" if ({condition}) resolve(); else if (performance.now() - begun > {900 * PATIENCE})"
            f" {late}; else setTimeout(look, 15); }}; look(); }})"
        )

    def click(self, selector):
        """Press the mouse in the middle of an element that can be seen there."""
        middle = self.ask(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            "found.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const {x, y, width, height} = found.getBoundingClientRect();"
            "const at = [x + width / 2, y + height / 2], top = document.elementFromPoint(...at);"
            "return found.contains(top) || top?.contains(found) ? at : null; })()"
        )
        assert middle, f"{selector} is not to be seen"
        self.mouse("mouseMoved", *middle)
        self.mouse("mousePressed", *middle)
        self.mouse("mouseReleased", *middle)

    def mouse(self, kind, x, y):
        """An event of the mouse."""
        button = {"button": "none" if kind == "mouseMoved" else "left", "clickCount": 1}
        self._call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **button})

    def press(self, key):
        """Press a key."""
        params = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        if key == "Enter":
            params["text"] = "\r"
        self._call("Input.dispatchKeyEvent", {"type": "keyDown", **params})
        self._call("Input.dispatchKeyEvent", {"type": "keyUp", **params})

    def type(self, text):
        """Write into what has the focus."""
        self._call("Input.insertText", {"text": text})

    def controls(self):
        """The names that controls have for screen readers, in the order of the page."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        roles = ("button", "checkbox", "combobox", "link", "radio", "slider", "textbox")
        return [
            node["name"]["value"]
            for node in nodes
            if not node["ignored"] and node["role"]["value"] in roles
        ]

    def choose(self, selector, *paths):
        """Give files to a field."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self._call("DOM.setFileInputFiles", {"files": [str(p) for p in paths], "nodeId": node})

    def saved(self):
        """The name and the bytes of the next file that is saved."""
        while not (self._saved and self._saved[0][2]):
            self._next()
        _, name, _ = self._saved.pop(0)
        return name, (self.downloads / name).read_bytes()

    def picture(self):
        """PNG of what is seen."""
        return base64.b64decode(self._call("Page.captureScreenshot")["data"])
