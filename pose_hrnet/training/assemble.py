"""The parts of a training, each made once: what is tried by a dry run is what is run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
from torch.utils.data import DataLoader

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.crops import Crop
from pose_hrnet.data.loader import crop_loader
from pose_hrnet.evaluation.evaluate import EvaluationSet, load_evaluation_set
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.weights.fetch import checkpoint_path
from pose_hrnet.models.weights.load import initialise
from pose_hrnet.system.distributed import World, wrap
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.training.data import (
    TrainingData,
    check_first_images,
    skeleton_to_learn,
    training_crops,
    training_data,
)
from pose_hrnet.training.losses import HeatmapLoss, build_loss, on_every_output
from pose_hrnet.training.optimizer import build_optimizer, rate_schedule, scaled_rate
from pose_hrnet.training.pictures import Showcase
from pose_hrnet.training.run_folder import crops_per_step
from pose_hrnet.training.step import TrainingStep


class Assembly:
    """The parts of the training that a configuration describes, each made when first asked for.

    What cannot be made raises ValueError or OSError where it is asked for.

    Args:
        config: Everything that decides the run.
        device: Where this process computes.
        world: The processes that learn together; None: this one alone.
    """

    def __init__(self, config: Config, device: torch.device, world: World | None = None) -> None:
        self.config, self.device, self.world = config, device, world or World.alone()

    @property
    def model(self) -> HeatmapNetwork:
        """The network on its device, not wrapped for several processes."""
        return self._network[0]

    @property
    def card(self) -> ModelCard:
        """What travels with the network's weights."""
        return self._network[1]

    @cached_property
    def _network(self) -> tuple[HeatmapNetwork, ModelCard]:
        torch.manual_seed(self.config.train.seed)
        model, card = build_model(self.config)
        model.to(self.device)
        if self.config.train.channels_last:
            model.to(memory_format=torch.channels_last)
        return model, card

    @cached_property
    def loss(self) -> HeatmapLoss:
        """What is lowered."""
        settings = self.config.loss
        loss = build_loss(
            settings.name,
            self.card.skeleton,
            top_k=settings.top_k,
            keypoint_weights=settings.keypoint_weights,
            device=self.device,
        )
        return on_every_output(loss, self.model.supervision)

    @cached_property
    def data(self) -> TrainingData:
        """The persons to learn from, and this process's order of them."""
        return training_data(self.config, self.card, self.world)

    @cached_property
    def loader(self) -> DataLoader[Crop]:
        """Batches of augmented crops; end its processes with `end_workers`."""
        return crop_loader(
            training_crops(self.config, self.card, self.data),
            batch_size=self.config.train.batch_size,
            workers=self.config.data.workers,
            sampler=self.data.sampler,
            pin_memory=self.device.type == "cuda",
        )

    @cached_property
    def held_out(self) -> EvaluationSet:
        """The persons to score on."""
        data, lowest = self.config.data.val, self.config.test.min_box_score
        skeleton = self.card.skeleton
        held_out = load_evaluation_set(data, skeleton, min_box_score=lowest, trained=False)
        check_first_images(data, held_out.people)
        return held_out

    @cached_property
    def showcase(self) -> Showcase:
        """Draws persons of `held_out`."""
        return Showcase(self.held_out)

    def pose_model(self, network: HeatmapNetwork) -> PoseModel:
        """A network of this training as the evaluations run it."""
        test = self.config.test
        decoder = Decoder.of(
            self.card,
            flip_test=test.flip_test,
            flip_shift=test.flip_shift,
            precision=self.config.train.precision,
        )
        return PoseModel(network, self.card, decoder, self.device)

    @cached_property
    def step(self) -> TrainingStep:
        """The optimiser step; ask for it after `start_from_pretrained`.

        Of several processes, all must ask.
        """
        config = self.config
        learner = wrap(self.model, self.world, sync_batchnorm=config.train.sync_batchnorm)
        optimizer = build_optimizer(learner, config.optimizer)
        return TrainingStep(
            learner,
            self.card.heatmap_codec,
            optimizer,
            self.loss,
            config,
            self.device,
            self.data.people,
        )

    @cached_property
    def rate(self) -> Callable[[int, float], float]:
        """The learning rate by finished steps and the seconds spent on them."""
        train = self.config.train
        optimizer = self.config.optimizer.model_copy(update={"lr": self.base_rate})
        return rate_schedule(optimizer, self.steps_per_epoch, train.epochs, train.minutes)

    @property
    def base_rate(self) -> float:
        """The learning rate that warm-up and schedule multiply, for the crops of a step."""
        return scaled_rate(self.config.optimizer, self.crops_per_step)

    @property
    def crops_per_step(self) -> int:
        """Crops that an optimiser step of all processes learns from."""
        return crops_per_step(self.config, self.world.size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of a whole epoch."""
        return math.ceil(len(self.data.people) / self.crops_per_step)

    def read(self) -> None:
        """Ask for all that reads files or may not fit, so that a fault shows before the start."""
        _ = self.loss, self.loader, self.held_out

    def start_from_pretrained(self, progress: Progress = SILENT) -> str:
        """Give the network the weights that it starts from.

        Args:
            progress: Draws a bar while they are downloaded.

        Returns:
            What was taken, in words.

        Raises:
            OSError: If the file of the weights is missing, or cannot be downloaded.
            ValueError: If it does not fit.
        """
        if self.config.model.pretrained is None:
            return "random"
        path = checkpoint_path(self.config.model.pretrained, progress=progress)
        report = initialise(self.model, path, self.card.skeleton.keypoint_names)
        self.pass_on(report.card_note)
        return report.summary()

    def pass_on(self, note: str) -> None:
        """Let the card say what the weights that the network starts from say of themselves."""
        model, card = self._network
        self._network = model, replace(card, note=note)


def build_model(config: Config) -> tuple[HeatmapNetwork, ModelCard]:
    """A freshly initialised network and the card that travels with its weights.

    Raises:
        FileNotFoundError: If the file that names the keypoints is missing.
        ValueError: If it does not name them.
    """
    skeleton = skeleton_to_learn(config.data)
    model = build_network(config.model.architecture(skeleton.num_keypoints))
    card = ModelCard(
        architecture=model.architecture,
        skeleton=skeleton,
        codec=HeatmapCodec(
            config.codec.name,
            config.codec.input_wh,
            config.codec.sigma,
            blur_kernel=config.codec.blur_kernel,
            border_true=config.codec.border_true,
        ),
        box_padding=config.data.box_padding,
    )
    return model, card
