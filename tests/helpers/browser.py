"""A page in headless Chromium: what it loads, sorts and shows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

PAPER = 703
"""Pixels between the margins of A4."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

WATCH = """<script>
window.seen = {errors: [], blocked: []};
window.addEventListener("error", (e) => seen.errors.push(e.message || e.target.outerHTML.slice(0, 80)), true);
for (const kind of ["error", "warn"]) console[kind] = (...said) => seen.errors.push(said.join(" "));
document.addEventListener("securitypolicyviolation", (e) => seen.blocked.push(e.blockedURI));
</script>"""  # noqa: E501

ASK = """<script>
window.addEventListener("load", () => {
  seen.tables = [...document.querySelectorAll("table")].map((table) => {
    const column = (at) => [...table.tBodies[0].rows].map((row) =>
      row.cells[at].dataset.value ?? row.cells[at].textContent);
    return [...table.querySelectorAll("th button")].map((button, at) => {
      const before = column(at);
      button.click(); const first = [button.parentElement.ariaSort, column(at)];
      button.click(); const second = [button.parentElement.ariaSort, column(at)];
      return {name: button.textContent, numeric: button.parentElement.dataset.numeric, before, first, second};
    });
  });
  seen.pictures = [...document.images].map((image) => image.complete && image.naturalWidth > 50);
  seen.loaded = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:"));
  seen.width = [document.documentElement.scrollWidth, window.innerWidth];
  seen.charts = [...document.querySelectorAll("svg")].map((svg) => svg.getBoundingClientRect().height > 10);
  seen.cut = [...document.querySelectorAll("svg text:not([transform])")].filter((text) => {
    const [box, view] = [text.getBBox(), text.ownerSVGElement.viewBox.baseVal];
    return box.x < 0 || box.y < 0 || box.x + box.width > view.width || box.y + box.height > view.height;
  }).map((text) => text.textContent);
  seen.words = document.body.innerText;
  const told = document.createElement("pre");
  told.id = "told"; told.textContent = JSON.stringify(seen);
  document.body.append(told);
});
</script>"""  # noqa: E501


def browse(path, tmp_path, *, width=1280, media="screen"):
    """What a browser says of a page, as wide as asked, styled for a screen or for ``print``.

    Skips where there is no browser.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    text = path.read_text("utf-8")
    if media == "print":
        assert "@media print" in text
        text = text.replace("@media print", "@media all")
    watched = tmp_path / "watched.html"
    watched.write_text(
        text.replace("<head>", "<head>" + WATCH).replace("</body>", ASK + "</body>")
    )
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000",
            "--virtual-time-budget=5000", watched.as_uri(),
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.S)
    assert told, done.stderr[-2000:]
    return json.loads(unescape(told[1]))


def check_sorted(table):
    """Each column of a table is sorted both ways by clicks, and what there is not stays last."""
    for column in table:
        known = [each for each in column["before"] if each != ""]
        is_numeric = column["numeric"] == "1"
        key = float if is_numeric else str
        numbers = sorted(map(key, known))
        for order, found in (column["first"], column["second"]):
            assert sorted(found) == sorted(column["before"])
            assert [each == "" for each in found] == sorted(each == "" for each in found)
            if is_numeric:
                wanted = numbers if order == "ascending" else numbers[::-1]
                assert [key(each) for each in found if each != ""] == wanted, column["name"]
        orders = [column["first"][0], column["second"][0]]
        assert sorted(orders) == ["ascending", "descending"]
