"""What runs the tasks of a job: Ray Data over a cluster, or this process.

Readers are tasks on processors, which read and decode; detector and pose model are in one actor a
device. Between them go tables of pixels, through the shared memory of each machine.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

from pose_hrnet.deploy.bulk.columns import BulkEstimator, Sick
from pose_hrnet.deploy.bulk.job import Engine, most_lost
from pose_hrnet.deploy.bulk.models import Models
from pose_hrnet.deploy.bulk.parts import Task
from pose_hrnet.deploy.bulk.tables import image_tables, row_table
from pose_hrnet.system.extras import import_extra
from pose_hrnet.system.text import one_line

OBJECT_STORE = 2**30
"""Bytes of shared memory of a cluster that is started here."""
RETRIES = 2
"""Times that an actor tries a table again, and a reader a task, that it died over."""
INIT_DEATHS = 3
"""Actors that die one after the other while they load their models, until a job gives up."""


@dataclass(frozen=True)
class Cluster:
    """Where a job runs.

    Attributes:
        address: Of a Ray cluster, or ``auto``; None: one is started on this machine.
        devices: Actors with a model; None: one a GPU, or one where there is none.
        readers: Tasks that read at once; None: as many as there are processors left.
        max_lost: As of `Job`.
    """

    address: str | None = None
    devices: int | None = None
    readers: int | None = None
    max_lost: int | None = None


def here(bulk: BulkEstimator) -> Engine:
    """An engine that reads and poses in this process, one after the other."""

    def run(tasks: Iterable[Task]) -> Iterator[Any]:
        for task in tasks:
            for table in image_tables(task):
                yield row_table(table, bulk)

    return run


@contextmanager
def ray_engine(models: Models, cluster: Cluster) -> Iterator[Engine]:
    """Ray Data; a cluster that is started here is stopped when the block ends.

    Args:
        models: What the actors load.
        cluster: Where.

    Raises:
        ConnectionError: If no cluster answers at the address.
        ValueError: If the extra is missing.
    """
    ray = import_extra("ray", "ray")
    import_extra("ray.data", "ray")
    _be_quiet()
    began_here = not ray.is_initialized()
    if began_here:
        options: dict[str, Any] = {"address": cluster.address}
        if cluster.address is None:
            options = {
                "num_cpus": os.cpu_count(),
                "object_store_memory": OBJECT_STORE,
                "include_dashboard": False,
            }
        try:
            ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = cluster.address or "this machine"
            raise ConnectionError(
                f"no Ray cluster answers at {where} ({one_line(error)}); start one with ray "
                "start --head, or leave out --address"
            ) from None

    def run(tasks: Iterable[Task]) -> Iterator[Any]:
        try:
            yield from _run(ray, models, cluster, list(tasks))
        finally:
            # Ray ends an actor once nothing refers to it; what an error leaves does, in cycles,
            # and the actors of the next run would wait for its device.
            gc.collect()

    try:
        yield run
    finally:
        if began_here:
            ray.shutdown()


def _be_quiet() -> None:
    """Ray's own bars and reports do without; what goes wrong is in its log files."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15, which other work would starve
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _run(ray: Any, models: Models, cluster: Cluster, tasks: list[Task]) -> Iterator[Any]:
    """The tables of all tasks.

    Raises:
        ValueError: If an actor cannot load its models.
    """
    from ray.data import ActorPoolStrategy, DataContext

    found = ray.cluster_resources()
    gpus = int(found.get("GPU", 0))
    device = models.options.device
    on_gpu = device.startswith("cuda") or (device == "auto" and gpus > 0)
    devices = cluster.devices or (gpus if on_gpu and gpus else 1)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    # What they held is tried again, unless it is so much that the cluster must be at fault.
    context.max_errored_blocks = max(most_lost(len(tasks)), cluster.max_lost or 0)
    context.max_consecutive_actor_init_deaths = INIT_DEATHS
    context.target_max_block_size = 2 * max(task.table_bytes for task in tasks)
    rows = [{"task": pickle.dumps(task)} for task in tasks]
    source = ray.data.from_items(rows, override_num_blocks=len(rows))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*ray_remote_args.*deprecated")  # nothing else sets it
        images = source.map_batches(
            _read,
            fn_args=(os.getcwd(),),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=1,
            concurrency=cluster.readers or max(1, int(found["CPU"]) - (0 if on_gpu else devices)),
            max_retries=RETRIES,  # or Ray would try for ever to read what kills its reader
        )
        stream = images.map_batches(
            _Poser,
            fn_constructor_args=(models, _Share(devices, on_gpu), os.getcwd()),
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=devices),
            num_cpus=0 if on_gpu else 1,
            num_gpus=1 if on_gpu else 0,
            # One that dies begins again, and tries what it had so often, where Ray would try it
            # for ever; then whoever collects the rows tries it image by image. This also keeps
            # Ray from putting readers and models into one process.
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
    try:
        yield from stream.iter_batches(batch_size=None, batch_format="pyarrow")
    except ray.exceptions.RayError as error:
        raise ValueError(
            f"the cluster gave up ({_cause(error)}); files that are written are whole, and the "
            "same command goes on with the rest"
        ) from None


def _cause(error: BaseException) -> str:
    """What went wrong inside of Ray's own errors, as the middle of a sentence."""
    inner = getattr(error, "cause", None) or error.__cause__
    if isinstance(inner, ValueError | OSError):
        return one_line(inner)
    return one_line(str(error).strip().splitlines()[-1] if str(error).strip() else error)


def _go_to(folder: str) -> None:
    """Where the driver is, so that paths mean what they mean there; if this machine has it."""
    with suppress(OSError):
        os.chdir(folder)


def _read(batch: Any, folder: str) -> Iterator[Any]:
    """A task -> its images, as tables that are ready to go to an actor."""
    _go_to(folder)
    for row in batch.column("task").to_pylist():
        yield from image_tables(pickle.loads(row))


@dataclass(frozen=True)
class _Share:
    """Of the processors of a machine, the part that an actor there may use.

    Attributes:
        devices: Actors of the whole cluster.
        on_gpu: Whether each has a GPU.
    """

    devices: int
    on_gpu: bool

    def here(self) -> int:
        """How many threads, asked in the actor: its machine may be another than the driver's."""
        ray = import_extra("ray", "ray")
        node = ray.get_runtime_context().get_node_id()
        return self.threads(ray.nodes(), node, os.cpu_count() or 1)

    def threads(self, nodes: Sequence[Mapping[str, Any]], node: str, processors: int) -> int:
        """How many of them.

        Args:
            nodes: As of ``ray.nodes()``.
            node: The actor's.
            processors: Of its machine.
        """
        alive = [each["Resources"] for each in nodes if each["Alive"]]
        own = [each["Resources"] for each in nodes if each["NodeID"] == node]
        actors = -(-self.devices // max(1, sum("CPU" in each for each in alive)))
        if self.on_gpu and own:
            actors = min(self.devices, int(own[0].get("GPU", 1)))
        return max(1, processors // max(1, actors))


class _Poser:
    """An actor: the models on one device."""

    def __init__(self, models: Models, share: _Share, folder: str) -> None:
        _go_to(folder)
        torch.set_num_threads(share.here())  # Ray says one
        self.bulk = models.load()
        self.is_sick = False

    def __call__(self, table: Any) -> Any:
        """The rows of a table.

        Where the device is sick this ends with the reason, and the process with the next table:
        Ray begins another one, which tries that.
        """
        if self.is_sick:
            os._exit(1)
        try:
            return row_table(table, self.bulk)
        except Sick:
            self.is_sick = True
            raise


__all__ = ["Cluster", "here", "ray_engine"]
