"""A network that several processes train together, each on its share of every batch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pose_hrnet.config.recipe import OptimizerConfig
from pose_hrnet.system.distributed import World


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


def scaled_rate(config: OptimizerConfig, crops_per_step: int) -> float:
    """The learning rate for the crops of one optimiser step.

    ``lr * crops_per_step / lr_batch``: the linear rule of Goyal et al., "Accurate, Large Minibatch
    SGD" (2017).

    Args:
        config: `lr`, and `lr_batch`, the crops that it is meant for; None: `lr` as it stands.
        crops_per_step: Batch size times accumulated batches times processes.
    """
    if config.lr_batch is None:
        return config.lr
    return config.lr * crops_per_step / config.lr_batch


__all__ = ["keep_gradients", "scaled_rate", "unwrap", "wrap"]
