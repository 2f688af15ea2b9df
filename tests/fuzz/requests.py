"""Requests that no server likes: bombs, lies in headers, halves, slow ones; by seed."""

from __future__ import annotations

import io
import json
import random
import select
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import PIL.Image

from tests.fuzz.mutators import mutate_bytes, mutate_json, mutate_text, strange
from tests.helpers.png import chunk, png
from tests.helpers.serving import picture, received, request

_FORM = "multipart/form-data; boundary=edge"
PIECE_SECONDS = 0.005
"""Between the pieces of a slow client."""


@dataclass(frozen=True)
class Attack:
    """What is sent, and how.

    Attributes:
        kind: Of the trouble.
        data: All of it.
        pieces: Writes that it comes in.
        leaves: Whether the client goes away without an answer.
    """

    kind: str
    data: bytes
    pieces: int = 1
    leaves: bool = False

    def send(self, port: int) -> bytes:
        """What the server at a port of the loopback answers; empty: it ended the connection."""
        with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
            try:
                size = max(1, -(-len(self.data) // self.pieces))
                for start in range(0, len(self.data), size):
                    connection.sendall(self.data[start : start + size])
                    if self.pieces > 1 and _has_answered(connection):
                        break
                if self.leaves:
                    return b""
                return received(connection)
            except ConnectionError:
                return b""


def _has_answered(connection: socket.socket) -> bool:
    """Whether something came within a moment."""
    return bool(select.select([connection], [], [], PIECE_SECONDS)[0])


def attack(seed: int) -> Attack:
    """The attack of a number."""
    rng = random.Random(seed)
    kind = rng.choice(sorted(_KINDS))
    return _KINDS[kind](rng, kind)


def form(parts: list[tuple[str, str | None, bytes]], boundary: str = "edge") -> bytes:
    """A form's body: names, file names and contents."""
    out = b""
    for name, file, content in parts:
        more = "" if file is None else f'; filename="{file}"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        out += head.encode(errors="replace") + content + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def _image(rng: random.Random) -> bytes:
    size = rng.choice(((64, 48), (1, 1), (3, 500), (200, 160)))
    return picture(size, rng.choice(("JPEG", "PNG", "WEBP", "GIF", "BMP")), rng.randrange(9))


def _bomb(rng: random.Random) -> bytes:
    """A small file that unpacks to much."""
    zeros = zlib.compress(bytes(20_000_000), 9)
    width, height = rng.choice(((3000, 2000), (30_000, 200), (200, 30_000), (60_000, 60_000)))
    pixels = chunk(b"IDAT", zeros)
    return rng.choice((
        lambda: png(width, height, pixels),
        lambda: png(width, height, pixels, depth=16, colour=6),
        lambda: png(8, 8, chunk(b"zTXt", b"k\0\0" + zeros), pixels),
        lambda: png(8, 8, chunk(b"iCCP", b"k\0\0" + zeros), pixels),
        lambda: png(8, 8, *[chunk(b"tEXt", b"k\0" + bytes(99))] * 5000, pixels),
        lambda: picture(progressive=True) + b"\xff\xda\x00\x02" * 5000,
        lambda: _many_frames("PNG"),
        lambda: _many_frames("WEBP"),
    ))()  # fmt: skip


def _many_frames(kind: str) -> bytes:
    stream, frame = io.BytesIO(), PIL.Image.new("RGB", (600, 400))
    frames = [PIL.Image.new("RGB", (600, 400), (n, n, n)) for n in range(20)]
    frame.save(stream, kind, save_all=True, append_images=frames)
    return stream.getvalue()


def _sized(rng: random.Random) -> bytes:
    """An image whose header says another size than its pixels have."""
    sides = rng.choices((0, 1, 2, 63, 65, 4096, 16_383, 65_535, 2**31 - 1, 2**32 - 1), k=2)
    data = bytearray(picture(kind=(kind := rng.choice(("JPEG", "PNG", "WEBP")))))
    if kind == "PNG":
        honest = bytes(data)
        at = honest.index(b"IDAT") - 4
        return png(*sides, honest[at:])
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = b"".join((side & 0xFFFF).to_bytes(2, "big") for side in sides)
    else:
        data[26:30] = b"".join((side & 0x3FFF).to_bytes(2, "little") for side in sides)
    return bytes(data)


def _of_image(change: Callable[[random.Random], bytes]) -> Callable[[random.Random, str], Attack]:
    return lambda rng, kind: Attack(kind, request(change(rng)))


def _lying(rng: random.Random, kind: str) -> Attack:
    data = _image(rng)
    header = rng.choice((
        {"content_length": str(rng.choice((-1, 0, 1, len(data) // 2, 10**9, 10**30)))},
        {"content_length": str(len(data) + 9)},
        {"content_length": "", "transfer_encoding": "chunked"},
        {"transfer_encoding": "chunked"},
        {"transfer_encoding": "gzip, chunked"},
        {"content_encoding": rng.choice(("gzip", "br", "zstd"))},
        {"content_type": rng.choice(("image/png", "text/html", "x" * 9000))},
        {"content_type": "multipart/form-data"},
        {"content_type": "multipart/form-data; boundary=" + "b" * rng.choice((0, 70, 5000))},
        {"host": rng.choice(("", "a" * 5000, "[::1", "x y"))},
        {"expect": "100-continue"},
        {"upgrade": "websocket", "connection": "upgrade"},
        {"origin": rng.choice(("null", "http://evil.example", "x"))},
        {"authorization": "Bearer " + "x" * 5000},
        {f"x{n}": "y" * 50 for n in range(rng.choice((100, 2000)))},
        {"range": "bytes=0-1", "accept": "text/html", "accept_encoding": "gzip"},
    ))  # fmt: skip
    return Attack(kind, request(data, **header), leaves=rng.random() < 0.7)


def _half(rng: random.Random, kind: str) -> Attack:
    data = request(_image(rng))
    return Attack(kind, data[: rng.randrange(len(data))], leaves=True)


def _slow(rng: random.Random, kind: str) -> Attack:
    data = request(_image(rng))
    return Attack(kind, data, pieces=rng.choice((5, 30)), leaves=rng.random() < 0.5)


def _unread(rng: random.Random, kind: str) -> Attack:
    """Asks for much, and goes away before it is answered."""
    parts = [("image", "a.png", picture((300, 200), "PNG", n)) for n in range(8)]
    body = form(parts)
    return Attack(kind, request(body, content_type=_FORM), leaves=True)


def _forms(rng: random.Random, kind: str) -> Attack:
    names = ("image", "image", "image", "boxes", "x", "", "image\r\nX: y")
    parts = [
        (
            rng.choice(names),
            rng.choice((None, "a.jpg", "../../etc/passwd", "\0", "ü" * 90, "/dev/zero")),
            rng.choice(
                (_image(rng), b"", b"[[[1,2,3,4]]]", json.dumps(str(strange(rng))).encode())
            ),
        )
        for _ in range(rng.choice((1, 2, 3, 20)))
    ]
    body = form(parts)
    if rng.random() < 0.6:
        body = mutate_bytes(rng, body)
    return Attack(kind, request(body, content_type=_FORM))


def _text(rng: random.Random) -> bytes:
    return repr(strange(rng)).encode(errors="replace")


def _boxes(rng: random.Random, kind: str) -> Attack:
    good = json.dumps([[[1, 2, 30, 40], [5.5, 6, 60, 45]]]).encode()
    boxes = rng.choice((mutate_json, mutate_bytes))(rng, good)
    if rng.random() < 0.1:
        boxes = b"[[" + b",".join([b"[1,2,30,40]"] * rng.choice((400, 50_000))) + b"]]"
    body = form([("image", "a.jpg", picture()), ("boxes", None, boxes)])
    return Attack(kind, request(body, content_type=_FORM))


def _lines(rng: random.Random, kind: str) -> Attack:
    targets = (
        "/v1/poses?format=coco", "/v1/poses?overlay=jpeg&min_score=1e400", "/static/%00", "//",
        "*", "/v1/../../x", "/static/..%2f..%2fsetup.cfg", "/v1/poses?boxes=[[1,2,3,4]]",
    )  # fmt: skip
    data = request(picture(), target=rng.choice(targets))
    head, _, body = data.partition(b"\r\n\r\n")
    return Attack(kind, mutate_text(rng, head) + b"\r\n\r\n" + body, leaves=rng.random() < 0.7)


def _noise(rng: random.Random, kind: str) -> Attack:
    return Attack(kind, rng.randbytes(rng.choice((1, 50, 100_000))), leaves=rng.random() < 0.5)


_KINDS: dict[str, Callable[[random.Random, str], Attack]] = {
    "bomb": _of_image(_bomb),
    "boxes": _boxes,
    "damaged": _of_image(lambda rng: mutate_bytes(rng, _image(rng))),
    "form": _forms,
    "half": _half,
    "line": _lines,
    "lying header": _lying,
    "lying size": _of_image(_sized),
    "noise": _noise,
    "slow": _slow,
    "unread": _unread,
}

__all__ = ["Attack", "attack", "form"]
