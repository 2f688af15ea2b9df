"""The page of `pose-hrnet serve`: what tests do with it, and see of it."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image

GREY = (128, 128, 128)
READY = "document.body.dataset.ready === ''"
ALL_DONE = "document.querySelectorAll('[data-state=done]').length === {}"


def saved(path, size=(320, 240), **options):
    """Save a grey photograph; options as of Pillow."""
    PIL.Image.new("RGB", size, GREY).save(path, quality=95, **options)
    return path


def add(tab, *paths, done=None):
    """Choose files, and wait until they are posed, and the first one is drawn."""
    tab.choose("#files", *paths)
    done = len(paths) if done is None else done
    tab.wait(ALL_DONE.format(done))
    if done:
        tab.wait("document.getElementById('canvas').dataset.persons > 0")


def settle(tab):
    """Until what was asked to be drawn is drawn."""
    tab.ask(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
    )


def seen_at(tab, point, size=(320, 240)):
    """RGB on the canvas at a pixel of the image."""
    x, y = ((float(p) + 0.5) / side for p, side in zip(point, size, strict=True))
    return tab.ask(
        "(() => { const canvas = document.getElementById('canvas');"
        f"const at = [{x} * canvas.width, {y} * canvas.height].map(Math.floor);"
        "const copy = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});"
        "copy.drawImage(canvas, -at[0], -at[1]);"
        "return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3); })()"
    )


def near(found, color, within=40):
    """Whether two colours are about the same."""
    return np.abs(np.subtract(found, color)).max() <= within


def text(tab, selector):
    """What an element shows."""
    return tab.ask(f"document.querySelector({json.dumps(selector)}).innerText").strip()


def slide(tab, selector, value):
    """Move a slider as keys and mice do."""
    tab.ask(
        f"(() => {{ const slider = document.querySelector('{selector}'); slider.value = {value};"
        "slider.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    settle(tab)
