"""Each way to make a step faster leaves its arithmetic alone, and no bad loss reaches weights."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from torch import nn

from pose_hrnet.config.files import load_config
from pose_hrnet.data.loader import on_device
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.build import build_network
from pose_hrnet.training.losses import weighted_mse
from pose_hrnet.training.optimizer import build_optimizer
from pose_hrnet.training.step import TrainingStep
from tests.helpers.builders import make_batch, make_people
from tests.helpers.training_runs import NETWORK

TINY = [
    *NETWORK, "codec.input_wh=[32, 64]", "codec.sigma=1", "train.batch_size=4",
    "train.precision=fp32", "optimizer.lr=0.01", "train.ema_decay=null",
]  # fmt: skip
CPU = torch.device("cpu")
RATE = 0.01


def make_step(*settings, device=CPU, without_batch_norm=False):
    """A step of a tiny network that is always the same."""
    config = load_config("demo", [*TINY, *settings])
    torch.manual_seed(0)
    model = build_network(config.model.architecture(17))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    if without_batch_norm:
        model.eval()
    model.to(device)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)
    codec = HeatmapCodec("dark", (32, 64), 1.0)
    optimizer = build_optimizer(model, config.optimizer)
    return TrainingStep(model, codec, optimizer, weighted_mse, config, device, make_people(40))


def losses(step, batches=None):
    batches = [make_batch(4, seed=n) for n in range(4)] if batches is None else batches
    return torch.stack([step([batch], RATE) for batch in batches])


def weights_of(step):
    return {name: value.clone() for name, value in step.network.named_parameters()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def bad_batch(size=4, first_row=7):
    """Its loss is not a number, and that of no other batch."""
    batch = make_batch(size)
    return batch._replace(
        keypoints_input=torch.full((size, 17, 2), math.nan), rows=torch.arange(size) + first_row
    )


def nan_loss(heatmaps, targets, weights):
    """A loss that sees keypoints which are no numbers, as none of those of the package need to."""
    return weighted_mse(heatmaps, targets, weights) + 0 * targets.sum()


def plain_losses(name, config):
    """The same steps as a plain loop, which reads each loss before it learns from it."""
    step = make_step(f"optimizer.name={name}", *config)
    model, codec = step.model, step.codec
    parameters = list(model.parameters())
    optimizer = {
        "adam": lambda: torch.optim.Adam(parameters, fused=True),
        "adamw": lambda: torch.optim.AdamW(parameters, fused=True, weight_decay=1e-4),
        "sgd": lambda: torch.optim.SGD(
            parameters, momentum=0.9, nesterov=True, fused=True, weight_decay=1e-4
        ),
    }[name]()
    values = []
    for seed in range(4):
        batch = make_batch(4, seed=seed)
        heatmaps = model(batch.pixels.permute(0, 3, 1, 2))
        loss = weighted_mse(heatmaps, *codec.encode(batch.keypoints_input, batch.visible))
        values.append(loss.item())
        assert math.isfinite(values[-1])
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = RATE
        optimizer.step()
    return torch.tensor(values), dict(model.named_parameters())


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_losses_and_weights_are_those_of_a_plain_loop(name):
    decay = [f"optimizer.weight_decay={0 if name == 'adam' else 1e-4}"]
    step = make_step(f"optimizer.name={name}", *decay)
    values = losses(step)
    expected, weights = plain_losses(name, decay)
    assert torch.equal(values, expected)
    assert_equal(weights_of(step), weights)
    assert values[-1] < values[0]


def test_average_prefetch_and_checks_change_no_loss():
    expected = losses(make_step())
    batches = [make_batch(4, seed=n) for n in range(4)]
    assert torch.equal(losses(make_step("train.ema_decay=0.9")), expected)
    assert torch.equal(losses(make_step(), on_device(batches, CPU)), expected)
    step, read = make_step(), []
    for number, batch in enumerate(batches):
        read.append(step([batch], RATE))
        step.check(f"batch {number}")
    assert torch.equal(torch.stack(read), expected)


def test_memory_format_changes_the_rounding_alone():
    expected = losses(make_step())
    torch.testing.assert_close(losses(make_step("train.channels_last=false")), expected)


def test_several_batches_are_one_large_one():
    large = make_batch(8)
    parts = [type(large)(*(column[a:b] for column in large)) for a, b in ((0, 3), (3, 6), (6, 8))]
    one, several = (make_step("optimizer.name=sgd", without_batch_norm=True) for _ in range(2))
    torch.testing.assert_close(several(parts, RATE), one([large], RATE))
    gradients = {name: p.grad for name, p in one.network.named_parameters()}
    for name, parameter in several.network.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(weights_of(several), weights_of(one), rtol=1e-4, atol=1e-6)


def test_rate_is_the_one_that_is_given():
    step = make_step("optimizer.name=sgd")
    before = weights_of(step)
    step([make_batch(4)], 0.0)
    assert_equal(weights_of(step), before)


@pytest.mark.parametrize("settings", [[], ["optimizer.name=sgd"], ["train.precision=fp16"]])
def test_weights_are_those_before_the_first_bad_step(settings):
    good = [make_batch(4, seed=n) for n in range(2)]
    settings = [*settings, "train.ema_decay=0.5"]
    step, twin = make_step(*settings), make_step(*settings)
    for each in (step, twin):
        each.loss = nan_loss
        losses(each, good)
    # A bad one, and good ones after it that nobody may learn from any more.
    losses(step, [bad_batch(), *good])
    assert_equal(weights_of(step), weights_of(twin))
    with pytest.raises(
        FloatingPointError,
        match=r"the loss is nan in batch 9, 2 steps earlier \(annotation ids 8, 9, 10, 11,",
    ):
        step.check("batch 9")
    assert all(value.isfinite().all() for value in step.network.parameters())
    twin.check("batch 6")


def test_bad_latest_step_is_named_by_the_first_ids_of_all_its_batches():
    step = make_step()
    step.loss = nan_loss
    step([make_batch(2), bad_batch(2, first_row=20)], RATE)
    with pytest.raises(
        FloatingPointError, match=r"nan in epoch 2 \(annotation ids 1, 2, 21, 22, \.\.\.\)"
    ):
        step.check("epoch 2")


def test_gradients_that_are_not_finite_are_not_clipped_to_a_nan():
    step = make_step("optimizer.clip_norm=1")
    before = weights_of(step)
    step.network.final_layer.weight.register_hook(lambda grad: grad * math.inf)
    step([make_batch(4)], RATE)
    assert_equal(weights_of(step), before)
    with pytest.raises(FloatingPointError, match=r"the gradient norm is (inf|nan) in step 1"):
        step.check("step 1")


def test_clipping_bounds_the_gradients():
    step = make_step("optimizer.clip_norm=0.001")
    losses(step)
    norm = nn.utils.get_total_norm([p.grad for p in step.network.parameters()])
    assert norm.item() == pytest.approx(0.001, rel=1e-3)


def test_fp16_learns_and_leaves_out_steps_whose_scale_is_too_large():
    step = make_step("train.precision=fp16", "optimizer.name=sgd")
    step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = weights_of(step)
    step([make_batch(4)], RATE)
    assert_equal(weights_of(step), before)
    step.check("step 1")  # that is normal
    values = losses(step, [make_batch(4)] * 40)
    step.check("step 41")
    assert step.scaler.get_scale() < 2.0**40
    assert values[-1] < 0.9 * values[0]


def test_fp16_that_no_scale_helps_is_an_error():
    step = make_step("train.precision=fp16")
    before = weights_of(step)
    step.network.final_layer.weight.register_hook(lambda grad: grad * math.inf)
    losses(step, [make_batch(4)] * 17)
    with pytest.raises(
        FloatingPointError, match=r"not finite in fp16, however scaled, in step 17"
    ):
        step.check("step 17")
    assert_equal(weights_of(step), before)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_saved_step_goes_on_as_if_never_interrupted(tmp_path, precision):
    settings = [f"train.precision={precision}", "train.ema_decay=0.9"]
    whole, first, second = (make_step(*settings) for _ in range(3))
    batches = [make_batch(4, seed=n) for n in range(6)]
    expected = losses(whole, batches)
    losses(first, batches[:3])
    torch.save(first.state_dict(), tmp_path / "last.pt")
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    second.load_state_dict({**state, "further": 1})
    assert torch.equal(losses(second, batches[3:]), expected[3:])
    assert_equal(weights_of(second), weights_of(whole))
    assert_equal(second.weights(), whole.weights())
    if precision == "fp16":
        assert second.scaler.state_dict() == whole.scaler.state_dict()


def test_states_of_a_plain_optimiser_become_fused_ones():
    """Which decides, while they are loaded, where and as what their count of steps goes."""
    first, second = make_step("optimizer.name=adam"), make_step("optimizer.name=adam")
    losses(first)
    state = first.state_dict()
    state["optimizer"]["param_groups"][0]["fused"] = None
    for moments in state["optimizer"]["state"].values():
        moments["step"] = moments["step"].double()
    second.load_state_dict(state)
    assert second.optimizer.param_groups[0]["fused"] is True
    counts = [moments["step"] for moments in second.optimizer.state.values()]
    assert {(count.dtype, count.item()) for count in counts} == {(torch.float32, 4.0)}


def test_the_average_is_what_is_scored_and_kept():
    step, plain = make_step("train.ema_decay=0.9"), make_step()
    losses(step)
    scored = step.to_score(step.network)
    assert_equal(dict(scored.state_dict()), step.weights())
    assert not torch.equal(step.weights()["conv1.weight"], step.network.conv1.weight)
    assert plain.to_score(plain.network) is plain.network
    assert_equal(plain.weights(), dict(plain.network.state_dict()))


def test_missing_compiler_is_one_sentence(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"needs the compiler no-such-compiler, which is not"):
        make_step("train.compile=true")


def test_other_sizes_than_the_compiled_one_run_as_they_are(monkeypatch, caplog):
    seen = []

    def stand_in(model, device):
        def forward(images):
            seen.append(len(images))
            return model(images)

        return forward

    monkeypatch.setattr("pose_hrnet.training.step.compiled", stand_in)
    step = make_step("train.compile=true")
    with caplog.at_level(logging.INFO):
        values = losses(step, [make_batch(n) for n in (2, 4, 4, 3)])
    assert seen == [4, 4]
    assert torch.equal(values, losses(make_step(), [make_batch(n) for n in (2, 4, 4, 3)]))
    assert [message.split(" ")[:2] for message in caplog.messages] == [
        ["compiling", "the"],
        ["compiling", "took"],
    ]


class OneLayer(nn.Module):
    """As little as can be compiled in seconds."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 17, 4, stride=4, bias=False)
        self.bn = nn.BatchNorm2d(17)

    def forward(self, images):
        return self.bn(self.conv(images.float() / 255)).relu()


@pytest.mark.slow
def test_compiled_network_learns_the_same_under_the_same_names():
    torch.manual_seed(0)
    networks = [OneLayer(), OneLayer()]
    networks[1].load_state_dict(networks[0].state_dict())
    config = load_config("demo", [*TINY, "train.compile=true"])
    plain = config.model_copy(update={"train": config.train.model_copy(update={"compile": False})})
    codec = HeatmapCodec("dark", (32, 64), 1.0)
    steps = [
        TrainingStep(
            network, codec, build_optimizer(network, config.optimizer), weighted_mse, settings,
            CPU, make_people(4),
        )
        for network, settings in zip(networks, (config, plain), strict=True)
    ]  # fmt: skip
    torch.testing.assert_close(losses(steps[0]), losses(steps[1]), rtol=1e-4, atol=1e-6)
    assert list(steps[0].state_dict()["model"]) == list(OneLayer().state_dict())
    torch.testing.assert_close(weights_of(steps[0]), weights_of(steps[1]), rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_waits_for_the_device(precision):
    device = torch.device("cuda")
    settings = [f"train.precision={precision}", "train.ema_decay=0.9", "optimizer.clip_norm=1"]
    step = make_step(*settings, device=device)
    pinned = [type(b)(*(c.pin_memory() for c in b)) for b in [make_batch(4)] * 4]
    losses(step, pinned[:1])  # makes the states of the optimiser
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in on_device(pinned, device):
            step([batch, batch], RATE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    step.check("step 5")
