"""Numbers in words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """So many things: ``1 person``, ``1,234 persons``, ``2 boxes``, ``0 entries``.

    Args:
        count: How many.
        noun: One of them.
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{count:,} {noun[:-1]}ies"
    hisses = noun.endswith(("s", "x", "ch")) and not noun.endswith("epoch")
    return f"{count:,} {noun}{'es' if hisses else 's'}"


__all__ = ["counted"]
