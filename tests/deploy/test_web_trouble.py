"""The page of `pose-hrnet serve` where something is wrong: with a file, or with the server."""

from __future__ import annotations

from tests.helpers import page_server
from tests.helpers.pose_page import ALL_DONE, READY, add, settle, text


def test_what_is_wrong_with_a_file_is_said_beside_the_others(tab, tmp_path, photograph):
    broken, letter, empty, large = (
        tmp_path / name for name in ("broken.jpg", "letter.jpg", "empty.png", "large.jpg")
    )
    broken.write_bytes(photograph.read_bytes()[:-100])
    letter.write_text("Dear reader")
    empty.write_bytes(b"")
    large.write_bytes(photograph.read_bytes() + bytes(400_000))
    add(tab, photograph, broken, letter, empty, large, done=1)
    tab.wait("document.querySelectorAll('[data-state=failed]').length === 4")
    said = []
    for number in range(1, 5):
        tab.click(f"#film li:nth-child({number + 1}) .thumb")
        said.append(text(tab, "#fault p"))
    assert "truncated" in said[0]
    assert said[1].startswith("The image is not an image")
    assert said[2:] == [
        "The file is empty.",
        "The file has 0.4 MB; the server takes 0.4 MB at most.",
    ]
    assert all(each.endswith(".") and each[0].isupper() for each in said)
    tab.click("#film li:first-child .thumb")
    settle(tab)
    assert tab.ask("document.getElementById('fault').hidden")
    assert text(tab, "#count") == "2"


def test_a_busy_server_is_asked_again(tab, web_server, photograph):
    server, _ = web_server
    server.admission.images += 8
    try:
        tab.choose("#files", photograph)
        tab.wait_for_request("v1/poses")
        assert tab.ask("!document.getElementById('scan').hidden")
    finally:
        server.admission.images -= 8
    tab.wait(ALL_DONE.format(1))


def test_a_server_that_is_gone_is_said_and_tried_again(browser, photograph):
    with page_server.serve() as (_, address):
        browser.go(address)
        browser.wait(READY)
    add(browser, photograph, done=0)
    browser.wait("document.querySelectorAll('[data-state=failed]').length === 1")
    assert text(browser, "#fault p") == "The server does not answer; is it still running?"
    with page_server.serve(int(address.split(":")[-1][:-1])):
        browser.click("[data-act=again]")
        browser.wait(ALL_DONE.format(1))
        assert browser.ask("document.getElementById('fault').hidden")


def test_a_token_is_asked_for_and_kept_for_the_session(browser, photograph):
    with page_server.serve(token="secret-token") as (_, address):
        browser.go(address)
        browser.wait("document.getElementById('ask').open")
        browser.type("schlüssel-дверь")
        browser.press("Enter")
        said = browser.ask("document.getElementById('token').validationMessage")
        assert said == "A token has neither spaces nor characters beyond ASCII."
        assert browser.ask("document.getElementById('ask').open")
        browser.ask("document.getElementById('token').select()")
        browser.type("wrong-token")
        browser.press("Enter")
        browser.wait("document.getElementById('ask-why').textContent.includes('does not take')")
        browser.type("secret-token")
        browser.press("Enter")
        browser.wait(READY)
        add(browser, photograph)
        assert text(browser, "#count") == "2"
        browser.go(address)
        browser.wait(READY)
        assert not browser.ask("document.getElementById('ask').open")
