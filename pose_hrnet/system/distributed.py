"""Several processes that work as one: what they tell each other, and what happens if one ends.

`torchrun` starts them and says in the environment who is who (`pose_hrnet.system.launch`). Tensors
go over NCCL where they are on GPUs, everything else over gloo.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pose_hrnet.system.device import pick_device, usable_cores
from pose_hrnet.system.launch import Rank

if TYPE_CHECKING:  # a PyTorch that is built without it has no such module
    from torch.distributed.distributed_c10d import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT = timedelta(minutes=20)
"""How long a process waits for the others: longer than the main process scores or writes alone.

One that dies is noticed at once, its connections being closed; this is for one that hangs.
"""

WHAT_NEXT = (
    "torchrun says below which one failed first. A training goes on from its last save with "
    "--resume, and by itself with torchrun --max-restarts=3"
)


class ProcessLost(ConnectionError):
    """Another process ended, or did not answer in time."""


@dataclass(frozen=True)
class World:
    """All processes of a command, seen from one of them.

    Every method that speaks of all processes must be called by all of them, in the same order.

    Attributes:
        rank: This process's number; 0 is the main process, which prints and writes.
        size: How many there are.
        local_rank: Its number on this machine, which is that of its GPU.
        store: What the processes share besides their messages; None for one process.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: Store | None = field(default=None, repr=False, compare=False)

    @classmethod
    def alone(cls) -> World:
        """One process."""
        return cls()

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def device(self, name: str = "auto") -> torch.device:
        """The device of this process: of several processes on GPUs, each has its own.

        Args:
            name: As `pick_device` takes it; of several processes ``auto``, ``cuda`` or ``cpu``.

        Raises:
            ValueError: If that device is not present, or is one for several processes.
        """
        if self.size == 1:
            return pick_device(name)
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name not in ("cpu", "cuda"):
            raise ValueError(
                f"device {name!r} is one for {self.size} processes; "
                "say cuda, of which each process takes its own, or cpu"
            )
        device = pick_device(name)
        if name == "cpu":
            return device
        if self.local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"this machine has {torch.cuda.device_count()} GPUs, too few for process "
                f"{self.local_rank + 1} on it; start torchrun with fewer --nproc-per-node, "
                "or use --device cpu"
            )
        device = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(device)
        return device

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank; anything that can be pickled.

        Raises:
            ProcessLost: If another process ended.
        """
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self._together():
            dist.all_gather_object(values, value)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes of a floating tensor, elementwise: ``(...)`` -> ``(...)``.

        Raises:
            ProcessLost: If another process ended.
        """
        if self.size == 1:
            return values
        total = values.detach().clone()
        with self._together():
            dist.all_reduce(total)
        return total / self.size

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process.

        Raises:
            ProcessLost: If another process ended.
        """
        if self.size == 1:
            return flag
        found = torch.tensor([int(flag)])
        with self._together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def barrier(self) -> None:
        """Wait until all processes are here.

        Raises:
            ProcessLost: If another process ended.
        """
        self.any(False)

    def on_main(self, work: Callable[[], T]) -> T:
        """What the main process makes of some work, given to all; the others wait.

        Args:
            work: What only the main process does. An error in it is raised in every process.

        Raises:
            ProcessLost: If another process ended.
        """
        if self.size == 1:
            return work()
        result: T | None = None
        error: Exception | None = None
        if self.is_main:
            try:
                result = work()
            except Exception as caught:
                error = caught
        shared: list[Any] = [(result, _portable(error))]
        with self._together():
            dist.broadcast_object_list(shared, src=0)
        if self.is_main and error is not None:
            raise error
        received, failure = shared[0]
        if failure is not None:
            raise failure
        return cast(T, result if self.is_main else received)

    def copy_from_main(self, module: nn.Module) -> None:
        """Give a module's parameters and buffers the main process's values, in every process.

        Raises:
            ProcessLost: If another process ended.
        """
        if self.size == 1:
            return
        with self._together(), torch.no_grad():
            # At once, not one after the other: most are small.
            sent = [dist.broadcast(t, 0, async_op=True) for t in module.state_dict().values()]
            for work in sent:
                if work is not None:
                    work.wait()

    @contextmanager
    def _together(self) -> Iterator[None]:
        """What PyTorch raises if another process is gone, as one sentence."""
        try:
            yield
        except RuntimeError as error:
            raise self.lost(error) from error

    def lost(self, error: RuntimeError) -> ProcessLost:
        """The sentence that stands for what PyTorch raised."""
        # Without the place in gloo's source that stands before, and its advice behind.
        reason = re.sub(r"^\[\S*\] *", "", str(error).strip() or type(error).__name__)
        reason = reason.splitlines()[0].partition(". ")[0]
        return ProcessLost(
            f"process {self.rank} of {self.size} lost another one, which ended or hangs "
            f"({reason}); {WHAT_NEXT}"
        )


def join_world(device: str = "auto", *, timeout: timedelta = TIMEOUT) -> World:
    """Join the processes that torchrun started; `World.alone` without it.

    Args:
        device: As `World.device` takes it; on ``cpu`` NCCL is left out.
        timeout: How long to wait for the others.

    Raises:
        ValueError: If this PyTorch cannot do it.
        ProcessLost: If the others do not come.
    """
    here = Rank.from_environment()
    if here.size == 1:
        return World.alone()
    if not dist.is_available():
        raise ValueError(
            f"this PyTorch is built without torch.distributed, which {here.size} processes need; "
            "start one process, or install another build"
        )
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    use_cores(here)
    gpus = torch.cuda.is_available() and not device.startswith("cpu")
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=timeout)))
        # torchrun may keep its store when it starts all again; what the killed ones said of
        # themselves there, their addresses for one, must not be taken for news.
        store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        shared = PrefixStore("pose_hrnet", store)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=PrefixStore("group", store),
            rank=rank,
            world_size=size,
            timeout=timeout,
        )
    except RuntimeError as error:
        raise World(here.rank, here.size, here.local_rank).lost(error) from error
    return World(rank, size, here.local_rank, shared)


def leave_world() -> None:
    """End what `join_world` began."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def use_cores(here: Rank) -> None:
    """Share the CPU's cores among this machine's processes, if nobody has said how.

    torchrun sets OMP_NUM_THREADS to 1, in which the user's own 1 cannot be told from its default,
    so that it is kept, and said if cores stay idle; other launchers set nothing.
    """
    cores = usable_cores()
    share = max(1, cores // here.local_size)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(share)
    elif here.is_main and torch.get_num_threads() < share and not torch.cuda.is_available():
        log.info(
            "each of %d processes computes with %d of %d cores; OMP_NUM_THREADS=%d torchrun ... "
            "uses them all",
            *(here.local_size, torch.get_num_threads(), cores, share),
        )


def _portable(error: Exception | None) -> Exception | None:
    """An error that can be sent to other processes, with the same sentence."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(str(error))
    return error


def wrap(model: nn.Module, world: World, *, sync_batchnorm: bool = False) -> nn.Module:
    """The network to call in training: its gradients are averaged over all processes.

    All processes get the main one's parameters and buffers now, and its buffers (the running
    statistics of batch norm) again before each step, so that the main process's state is all there
    is to save. The average of the processes' gradients is the gradient of the mean loss over all
    their samples, because each has as many.

    Args:
        model: On its device; it takes part in what is returned.
        world: The processes; with one, the model itself is returned.
        sync_batchnorm: Batch statistics over all processes, not each one's own.

    Raises:
        ValueError: If statistics are to be shared on a CPU.
    """
    if world.size == 1:
        return model
    device = next(model.parameters()).device
    if sync_batchnorm:
        if device.type != "cuda":
            raise ValueError(
                f"train.sync_batchnorm is on, but the network is on {device.type}, and PyTorch "
                "has synchronised batch norm for GPUs only; turn it off, or train with "
                "--device cuda"
            )
        # PyTorch has not typed it.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    devices = [device.index] if device.type == "cuda" else None
    # Every parameter has a gradient in every step, so that DDP need not search for unused ones,
    # which is all that its static_graph would save here.
    return DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)


def unwrap(model: nn.Module) -> nn.Module:
    """The network itself, which is saved and evaluated; its entries have no ``module.``."""
    inner: nn.Module = model.module if isinstance(model, DistributedDataParallel) else model
    return inner


def keep_gradients(model: nn.Module) -> AbstractContextManager[None]:
    """A context whose backward passes leave gradients in their process.

    For all but the last forward and backward pass of a step that accumulates gradients: the last
    one averages their sum over the processes, once.
    """
    if isinstance(model, DistributedDataParallel):
        context: AbstractContextManager[None] = model.no_sync()
        return context
    return nullcontext()
