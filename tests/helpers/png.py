"""PNG files chunk by chunk, whatever they say of themselves."""

from __future__ import annotations

import zlib


def chunk(kind: bytes, data: bytes) -> bytes:
    """One of a PNG."""
    crc = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + crc


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A file with a header of its own, these chunks, and an end."""
    sides = b"".join((side & 0xFFFFFFFF).to_bytes(4, "big") for side in (width, height))
    head = chunk(b"IHDR", sides + bytes([depth, colour, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")
