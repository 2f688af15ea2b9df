"""One optimiser step."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.crops import CropBatch
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.records import People
from pose_hrnet.system.device import arithmetic, autocast, missing_compiler
from pose_hrnet.system.distributed import keep_gradients, unwrap
from pose_hrnet.system.text import counted
from pose_hrnet.training.losses import HeatmapLoss
from pose_hrnet.training.optimizer import MovingAverage

log = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)


class TrainingStep:
    """One optimiser step on one batch or several, during which nobody waits for the device.

    A loss that is not finite shows only when it is read. So the device itself leaves out that
    update and all that follow, until `check` reads what happened: the parameters are then those
    before the bad step, wherever it was. (The running statistics of batch norms have seen it.)

    In fp16 gradients are scaled; where a scale proves too large for them, the update is left out
    and the scale is halved. That is normal, unless it goes on.

    Args:
        model: On `device`; may be wrapped in DistributedDataParallel.
        codec: Draws the targets, on the device.
        optimizer: From `build_optimizer`, over the parameters of `model`.
        loss: From `pose_hrnet.training.losses.build_loss`.
        config: Its sections ``train`` and ``optimizer`` count.
        device: Where to compute.
        people: Name the annotations in errors.

    Raises:
        ValueError: If the network is to be compiled, and the compiler is missing.
    """

    def __init__(
        self,
        model: nn.Module,
        codec: HeatmapCodec,
        optimizer: torch.optim.Optimizer,
        loss: HeatmapLoss,
        config: Config,
        device: torch.device,
        people: People,
    ) -> None:
        self.model, self.codec, self.optimizer, self.loss = model, codec, optimizer, loss
        self.config, self.device, self.people = config, device, people
        self.network = unwrap(model)
        decay = config.train.ema_decay
        self.average = None if decay is None else MovingAverage(self.network, decay)
        self.precision = arithmetic(device, config.train.precision)
        self._autocast = autocast(device, self.precision)
        self.scaler = torch.amp.GradScaler(device.type) if self.precision == "fp16" else None
        self._compiled = compiled(model, device) if config.train.compile else None
        self._compiling = config.train.compile
        self._bad = torch.zeros((), device=device)
        """1 from the first loss, or gradient norm, that is not finite; else 0."""
        self._unchecked: list[tuple[Tensor, list[int]]] = []
        """Of each step since the last check: its loss and norm, and the rows it learnt from."""

    def __call__(self, batches: Sequence[CropBatch], rate: float) -> Tensor:
        """Learn from batches; call `check` now and then.

        Args:
            batches: One, or several whose gradients are averaged over all their crops, as if they
                were one batch. (Batch norms see each by itself.)
            rate: Learning rate.

        Returns:
            The mean loss of the crops, a scalar on the device.
        """
        self.optimizer.zero_grad(set_to_none=True)
        crops = sum(len(batch.pixels) for batch in batches)
        total = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches, start=1):
            # Processes average their gradients once, behind the last batch.
            with keep_gradients(self.model) if number < len(batches) else nullcontext():
                total += self._backward(batch, len(batch.pixels) / crops)
        norm = self._clipped_norm()
        self._note(total, norm, batches)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.scaler is None:
            # Fused optimisers of PyTorch look at this, on the device; it is not among their types.
            self.optimizer.found_inf = self._bad  # type: ignore[attr-defined]
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.average is not None:
            self.average.update()
        return total

    def check(self, name: str) -> None:
        """Read, waiting for the device, whether all losses since the last check were finite.

        Args:
            name: Of the latest step, in the error.

        Raises:
            FloatingPointError: If one was not, or fp16 found no scale that fits the gradients.
        """
        steps = len(self._unchecked)
        if self._bad.item():
            for number, (values, rows) in enumerate(self._unchecked, start=1):
                loss, norm = values.tolist()
                what = f"the loss is {loss}" if not math.isfinite(loss) else ""
                if not what and self.scaler is None and not math.isfinite(norm):
                    what = f"the gradient norm is {norm}"
                if what:
                    earlier = f", {counted(steps - number, 'step')} earlier"
                    where = f"{name}{earlier if number < steps else ''}"
                    raise self._not_finite(f"{what} in {where}", rows)
            raise self._not_finite(f"a loss of another process is not finite in {name}", [])
        if self.scaler is not None and self._unchecked and self.scaler.get_scale() < 1:
            what = f"the gradients are not finite in fp16, however scaled, in {name}"
            raise self._not_finite(what, self._unchecked[-1][1])
        self._unchecked.clear()

    def weights(self) -> dict[str, Tensor]:
        """The state dict to score and keep, not copied: the moving average, if there is one."""
        return self.network.state_dict() if self.average is None else self.average.weights()

    def to_score(self, network: Network) -> Network:
        """The network that is trained, without wrapping; where there is an average, its copy."""
        if self.average is None:
            return network
        network = copy.deepcopy(network)
        network.load_state_dict(self.weights())
        return network

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on, not copied; None for what this run does without."""
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "ema": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; further entries are not looked at."""
        self.network.load_state_dict(state["model"])
        # That it is fused was saved, too, and was not always so; it decides where tensors go.
        groups = [{**group, "fused": True} for group in state["optimizer"]["param_groups"]]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})
        if self.scaler is not None and state.get("scaler") is not None:
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state.get("ema"))

    def _backward(self, batch: CropBatch, share: float) -> Tensor:
        """Add a batch's gradients, times its share of the step; returns its share of the loss."""
        began = time.perf_counter()
        images = batch.pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if not self.config.train.channels_last:
            images = images.contiguous()
        keypoints_input = batch.keypoints_input.to(self.device, non_blocking=True)
        visible = batch.visible.to(self.device, non_blocking=True)
        targets, weights = self.codec.encode(keypoints_input, visible)
        forward: Callable[[Tensor], Tensor] = self.model
        # Another size, the last of an epoch, is not worth another compilation.
        if self._compiled is not None and len(images) == self.config.train.batch_size:
            forward = self._compiled
            if self._compiling:
                log.info("compiling the network, once: this takes minutes, then steps are faster")
        with self._autocast:
            heatmaps = forward(images)
        loss = self.loss(heatmaps, targets, weights) * share
        # Neither `backward` is typed by PyTorch.
        if self.scaler is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            # A scaler looks at gradients alone: after a bad loss none of them is a number.
            poison = torch.where(self._bad > 0, math.nan, 1.0)
            self.scaler.scale(loss * poison).backward()  # type: ignore[no-untyped-call]
        if self._compiling and forward is self._compiled:
            log.info("compiling took %.0f s", time.perf_counter() - began)
            self._compiling = False
        return loss.detach()

    def _clipped_norm(self) -> Tensor | None:
        """Clip the gradients if the configuration says so; returns their norm before."""
        limit = self.config.optimizer.clip_norm
        if limit is None:
            return None
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        return nn.utils.clip_grad_norm_(self.model.parameters(), limit)

    def _note(self, loss: Tensor, norm: Tensor | None, batches: Sequence[CropBatch]) -> None:
        """Remember, on the device, whether a step is bad; and what it learnt from."""
        values = torch.stack([loss, torch.zeros_like(loss) if norm is None else norm])
        # The norm of scaled gradients may overflow: that is the scaler's matter.
        decisive = values if self.scaler is None else values[:1]
        self._bad = torch.maximum(self._bad, (~decisive.isfinite().all()).float())
        if isinstance(self.model, DistributedDataParallel):
            # The gradients are of all processes: either all of them update, or none.
            torch.distributed.all_reduce(self._bad, torch.distributed.ReduceOp.MAX)
        rows = [row for batch in batches for row in batch.rows.tolist()]
        self._unchecked.append((values, rows))

    def _not_finite(self, what: str, rows: Sequence[int]) -> FloatingPointError:
        ids = ", ".join(str(self.people.ids[row]) for row in rows[:8])
        return FloatingPointError(
            f"{what}{f' (annotation ids {ids}, ...)' if ids else ''}; the run stopped before this "
            "update, and resumes from where it was last saved. Lower optimizer.lr, set "
            "optimizer.clip_norm, or use train.precision=fp32"
        )


def compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network as `torch.compile` makes it faster, for one size of batch.

    It shares the weights with `model`, which stays as it is: evaluation, other sizes of batch and
    state dicts use that one. The compilation itself comes with the first call.

    Raises:
        ValueError: If the compiler that this device needs is missing.
    """
    check_compiler(device)
    network: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False)
    return network


def check_compiler(device: torch.device) -> None:
    """Whether `torch.compile` finds what it needs, before minutes are spent on it.

    Raises:
        ValueError: If the compiler that this device needs is missing.
    """
    missing = missing_compiler(device)
    if missing is not None:
        raise ValueError(
            f"train.compile on {device.type} needs the compiler {missing}, which is not found; "
            "install it, or set train.compile=false"
        )
