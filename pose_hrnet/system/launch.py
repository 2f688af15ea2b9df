"""Which of several processes this one is, as torchrun says it. Nothing here imports torch."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Rank:
    """A process among those that work on the same command.

    Attributes:
        rank: Its number, of all machines.
        size: How many there are, on all machines.
        local_rank: Its number on this machine.
        local_size: How many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether it is the one that prints and writes."""
        return self.rank == 0

    @classmethod
    def from_environment(cls) -> Rank:
        """This process's rank, from the environment that torchrun gives it; alone without one.

        The variables are those of `torch.distributed`'s ``env://``, so that other launchers that
        set them serve as well.
        """
        if "MASTER_ADDR" not in os.environ:
            return cls()
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        rank, size, local_rank, local_size = (os.environ.get(name) for name in names)
        if rank is None or size is None:
            return cls()
        return cls(int(rank), int(size), int(local_rank or 0), int(local_size or 1))
