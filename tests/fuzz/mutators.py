"""Changes to good input that make it bad: of JSON, of bytes, of text, of arguments; by seed."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

NUMBERS = (
    0, -1, 1, 2, 17, 0.5, -0.0, 1e-40, 1e30, -1e30, 1e308, 2**31, 2**32, 2**63, -(2**63), 2**64,
    10**400, float("nan"), float("inf"), -float("inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "a", "person", "0", "1", "1.0", "-1", "nan", "ä", "a\u0308", "\u202e", "\x1b[31m",
    "\0", "\n", "\ud800", "../x", "/etc/passwd", "C:\\x", "a" * 300, "%s{}", "000001.png", "None",
)  # fmt: skip
_NESTED = "nested "
"""Stands for so many lists within one another, which Python's own encoder cannot write."""
OTHERS = (None, True, False, [], {}, [[]], [None], {"a": 1}, [1, 2], [0] * 51, {"": None})


def strange(rng: random.Random) -> Any:
    """A value that few expect."""
    if rng.random() < 0.02:
        return f"{_NESTED}{rng.choice((50, 300, 3000))}"
    return copy.deepcopy(rng.choice(rng.choice((NUMBERS, TEXTS, OTHERS))))


def mutate_values(rng: random.Random, root: Any) -> Any:
    """A copy of JSON's values with one to three of them changed, dropped, doubled or moved."""
    root = {"": copy.deepcopy(root)}
    for _ in range(rng.randint(1, 3)):
        _mutate_one(rng, root)
    return root.get("")


def _mutate_one(rng: random.Random, root: Any) -> None:
    place, key = root, ""
    # Down from the top: fields of few rows are as likely as fields of many.
    while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.85:
        place = place[key]
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    value = place[key]
    action = rng.randrange(8)
    if action == 0 and place is not root:
        del place[key]
    elif action == 1 and isinstance(place, list):
        place.insert(key, copy.deepcopy(value))
    elif action == 2 and isinstance(value, int | float) and not isinstance(value, bool):
        place[key] = rng.choice((-value, value * 1e6, float(value), str(value), value + 0.5))
    elif action == 3 and isinstance(place, dict) and place is not root:
        place[rng.choice(TEXTS)] = place.pop(key)
    elif action == 4:
        place[key] = [value] if rng.random() < 0.5 else {"a": value}
    elif action == 5 and isinstance(value, list):
        rng.shuffle(value)
        del value[rng.randint(0, len(value)) :]
    else:
        place[key] = strange(rng)


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, doubled, filled, or put in from elsewhere."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if not out:
            break
        # Heads and tails hold what says how the rest is read.
        at = rng.randrange(len(out) if rng.random() < 0.5 else min(len(out), 200))
        if rng.random() < 0.1:
            at = len(out) - 1 - at
        action, length = rng.randrange(7), rng.choice((1, 2, 4, 16, 200))
        if action <= 2:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, out[at] ^ (1 << rng.randrange(8))))
        elif action == 3:
            out[at : at + length] = rng.choice((b"\0", b"\xff")) * min(length, len(out) - at)
        elif action == 4:
            out[at:at] = out[at : at + length]
        elif action == 5:
            del out[at : at + length]
        elif rng.random() < 0.3:
            del out[at:]
    return bytes(out)


def mutate_json(rng: random.Random, data: bytes) -> bytes:
    """JSON with other values, and now and then other bytes."""
    if rng.random() < 0.15:
        return mutate_bytes(rng, data)
    values = mutate_values(rng, json.loads(data))
    text = json.dumps(values, ensure_ascii=rng.random() < 0.5)
    for depth in re.findall(f'"{_NESTED}([0-9]+)"', text):
        text = text.replace(f'"{_NESTED}{depth}"', "[" * int(depth) + "]" * int(depth))
    return text.encode(errors="surrogatepass")


def mutate_text(rng: random.Random, data: bytes) -> bytes:
    """Words and numbers exchanged for others, lines doubled, dropped and moved."""
    if rng.random() < 0.15:
        return mutate_bytes(rng, data)
    text = data.decode()
    for _ in range(rng.randint(1, 3)):
        lines = text.splitlines(keepends=True)
        words = list(re.finditer(r"-?[0-9.]+|\w+", text))
        action = rng.randrange(6)
        if action == 0 and lines:
            lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
            text = "".join(lines)
        elif action == 1 and lines:
            del lines[rng.randrange(len(lines))]
            text = "".join(lines)
        elif words:
            word = rng.choice(words)
            other = str(rng.choice(rng.choice((NUMBERS[:-4], TEXTS, ("nan", "inf", "1e999")))))
            text = text[: word.start()] + other + text[word.end() :]
    return text.encode(errors="surrogatepass")


YAML_WORDS = (
    "!!int ''", "!!python/object/apply:os.system [ls]", "&a [*a]", "*b", "{}", "[]", "null", "~",
    ".inf", ".nan", "-1", "0", "1e9", "1000000", "99999999999999999999", "'", "\"", "yes", "0o7",
    "2026-01-01", "!!binary aaaa", "? a", "- - - 1", "[[[[", "{a: {a: {a: 1}}}", "1_000", "0x10",
    "|", ">", "a: b", "\t", "\x07", "é", "1:30", "<<: 1",
)  # fmt: skip


def mutate_yaml(rng: random.Random, data: bytes) -> bytes:
    """Lines doubled, dropped, moved and indented; other values after the colon."""
    if rng.random() < 0.1:
        return mutate_bytes(rng, data)
    lines = data.decode().splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines)) if lines else 0
        line = lines[at] if lines else ""
        action = rng.randrange(7)
        if action == 0:
            lines.insert(rng.randint(0, len(lines)), line)
        elif action == 1 and len(lines) > 1:
            del lines[at]
        elif action == 2 and lines:
            lines[at] = " " * rng.randint(0, 5) + line.lstrip()
        elif action == 3 and lines:
            lines[at] = line.replace(rng.choice("abelr:[,"), rng.choice("xZ:[]{},#&*"), 1)
        elif lines:
            lines[at] = f"{line.partition(':')[0]}: {rng.choice(YAML_WORDS)}"
    return "\n".join(lines).encode()


def mutate_arguments(rng: random.Random, arguments: list[str], files: list[str]) -> list[str]:
    """A command line with arguments dropped, doubled, exchanged, or with other values.

    Args:
        rng: Random numbers.
        arguments: A good one, options as ``--name=value``.
        files: Paths of other kinds, which may stand where another one belongs.
    """
    out = list(arguments)
    # No path of this machine's own files: a command may have the right to replace them.
    texts = [text for text in TEXTS if not text.startswith("/") and "\0" not in text]
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(1, len(out))
        name, equals, _ = out[at].partition("=")
        value = rng.choice(
            (*map(str, NUMBERS[:-4]), "nan", "inf", *files, *texts, "/dev/zero", "/proc/self/mem")
        )
        action = rng.randrange(6)
        if action == 0 and len(out) > 2:
            del out[at]
        elif action == 1:
            out.insert(at, out[at])
        elif action == 2 and equals:
            out[at] = name
        else:
            out[at] = f"{name}={value}" if equals else value
    return out
