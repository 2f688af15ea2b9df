"""The rate ends with the run; the moving average is its formula and goes on where it was saved."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pose_hrnet.config.files import load_config
from pose_hrnet.config.training import OptimizerConfig
from pose_hrnet.training.optimizer import MovingAverage, rate_schedule
from pose_hrnet.training.report import METRICS, read_metrics
from pose_hrnet.training.train import train

SCHEDULES = {"cosine": {"schedule": "cosine"}, "step": {"step_epochs": (2, 3)}}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_where_epochs_are_over_before_the_minutes_they_decide_the_rate(schedule):
    config = OptimizerConfig(lr=2.0, warmup_steps=3, **schedule)
    by_epochs, in_minutes = (rate_schedule(config, 10, 4, minutes=m) for m in (None, 2.0))
    steps = range(40)  # a second each: a third of the time
    assert [in_minutes(s, s) for s in steps] == [by_epochs(s, 0) for s in steps]
    assert in_minutes(40, 40) == by_epochs(40, 0) < 0.03


def test_where_the_time_is_up_first_the_rate_is_the_clocks():
    rate = rate_schedule(OptimizerConfig(lr=2.0, schedule="cosine"), 10, 100_000, minutes=2)
    total = 1_000_000
    for step, seconds in ((0, 0.0), (1, 0.7), (70, 41.3), (200, 119.9), (201, 120.0)):
        done = seconds / 120 * total
        assert rate(step, seconds) == 2.0 * 0.5 * (1 + math.cos(math.pi * min(done / total, 1.0)))


def test_a_run_in_minutes_that_its_epochs_end_has_learnt_at_falling_rates(settings, tmp_path):
    rates = []
    for minutes in ("null", "1000"):
        config = load_config("demo", [*settings, f"train.minutes={minutes}"])
        train(config, tmp_path / minutes, device="cpu")
        rates.append([line["lr"] for line in read_metrics(tmp_path / minutes / METRICS)])
    assert rates[0] == rates[1]
    assert len(rates[0]) == 3
    assert rates[0][-1] < 0.05 * config.optimizer.lr


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def move(model, seed):
    """Other weights and other running statistics, in place."""
    torch.manual_seed(seed)
    model(torch.randn(8, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)


def test_average_is_the_formula():
    model = network()
    average = MovingAverage(model, 0.3)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    for number, decay in enumerate([0.1, 2 / 11, 0.25, 0.3, 0.3]):
        move(model, number)
        average.update()
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * value
    weights = average.weights()
    assert list(weights) == list(model.state_dict())
    for name, value in weights.items():
        if name == "1.num_batches_tracked":
            assert value == 5
        else:
            torch.testing.assert_close(value, expected[name])
            assert not torch.equal(value, model.state_dict()[name])


def test_warm_up_leads_to_the_decay():
    model = nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, 0.9)
    average.updates = 10_000
    average.weights()["weight"].zero_()
    nn.init.ones_(model.weight)
    average.update()
    assert average.weights()["weight"].item() == pytest.approx(0.1)


def test_saved_average_goes_on_as_if_never_interrupted(tmp_path):
    whole, model = network(), network()
    model.load_state_dict(whole.state_dict())
    average = MovingAverage(whole, 0.5)
    first = MovingAverage(model, 0.5)
    for step in range(3):
        move(whole, step)
        average.update()
    for step in range(2):
        move(model, step)
        first.update()
    torch.save(first.state_dict(), tmp_path / "ema.pt")
    second = MovingAverage(model, 0.5)
    second.load_state_dict(torch.load(tmp_path / "ema.pt", weights_only=True))
    move(model, 2)
    second.update()
    for name, value in average.weights().items():
        assert torch.equal(value, second.weights()[name]), name


def test_without_a_saved_average_it_starts_at_the_weights():
    model = network()
    average = MovingAverage(model, 0.5)
    move(model, 0)
    average.update()
    average.load_state_dict(None)
    assert average.updates == 0
    assert all(torch.equal(v, model.state_dict()[n]) for n, v in average.weights().items())
