"""ViTPose: published parameters, torchvision's encoder, other sizes than those of its places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.vision_transformer import EncoderBlock

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.build import build_network
from pose_hrnet.models.vit_pose import Block, PatchEmbeddings, ViTPose
from pose_hrnet.models.weights.layouts import identify
from pose_hrnet.models.weights.load import initialise, load_network


# The hub's files: 360 MB (base) and 344 MB (base-simple), four bytes a parameter; S: MMPose.
@pytest.mark.parametrize(
    ("width", "decoder", "parameters"),
    [(768, "classic", 89_994_513), (768, "simple", 85_912_337), (384, "classic", 24_290_577)],
)
def test_parameters_are_the_published_ones(width: int, decoder: str, parameters: int) -> None:
    with torch.device("meta"):
        model = build_network({"name": "vitpose", "width": width, "decoder": decoder})
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_a_block_is_torchvisions() -> None:
    torch.manual_seed(0)
    ours = Block(24, 3)
    theirs = EncoderBlock(3, 24, 96, dropout=0, attention_dropout=0).eval()
    state = ours.state_dict()
    parts = [state.pop(f"attention.attention.{n}.weight") for n in ("query", "key", "value")]
    biases = [state.pop(f"attention.attention.{n}.bias") for n in ("query", "key", "value")]
    names = {
        "attention.output.dense": "self_attention.out_proj", "mlp.fc1": "mlp.0",
        "mlp.fc2": "mlp.3", "layernorm_before": "ln_1", "layernorm_after": "ln_2",
    }  # fmt: skip
    moved = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        moved[f"{names[layer]}.{kind}"] = value
    moved["self_attention.in_proj_weight"] = torch.cat(parts)
    moved["self_attention.in_proj_bias"] = torch.cat(biases)
    theirs.load_state_dict(moved)
    x = torch.randn(2, 7, 24)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x))


def test_places_are_their_own_at_256x192_and_interpolated_elsewhere() -> None:
    torch.manual_seed(0)
    layer = PatchEmbeddings(8).eval()
    with torch.inference_mode():
        for parameter in layer.patch_embeddings.parameters():
            parameter.zero_()
        places = layer.position_embeddings
        assert torch.equal(layer(torch.zeros(1, 3, 256, 192)), places[:, 1:] + places[:, :1])
        layer.position_embeddings.copy_(torch.ones_like(places))
        assert layer(torch.zeros(1, 3, 128, 96)).shape == (1, 48, 8)
        torch.testing.assert_close(layer(torch.zeros(1, 3, 128, 96)), torch.full((1, 48, 8), 2.0))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^ViTPose got heads 2; give a number that divides the width, 25$"
    ):
        ViTPose(25, 2, 2)
    with pytest.raises(ValueError, match="decoder 'light'"):
        ViTPose(24, 2, 2, decoder="light")  # type: ignore[arg-type]


def as_on_the_hub(model: ViTPose, experts: int = 0) -> dict[str, Tensor]:
    """The network as `usyd-community/vitpose-base` or, with experts, `-plus-base` is saved."""
    head = ("deconv", "batchnorm", "conv.")
    state = {n.replace("final_layer.", "conv."): v for n, v in model.state_dict().items()}
    state = {f"{'head' if n.startswith(head) else 'backbone'}.{n}": v for n, v in state.items()}
    for name in [name for name in state if ".mlp.fc2." in name and experts]:
        shared, kept = state[name].split([288, 96])
        state[name] = shared.clone()
        block, _, kind = name.partition("mlp.fc2")
        for number in range(experts):
            value = torch.randn_like(kept) if number else kept.clone()
            state[f"{block}mlp.experts.experts.{number}{kind}"] = value
    return state


@pytest.mark.parametrize("decoder", ["classic", "simple"])
@pytest.mark.parametrize("experts", [0, 3])
def test_files_of_the_hub_load_as_they_are(tmp_path: Path, decoder: Any, experts: int) -> None:
    torch.manual_seed(0)
    model = ViTPose(384, 1, 12, decoder).eval()
    path = tmp_path / "model.safetensors"
    save_file(as_on_the_hub(model, experts), path, {"format": "pt"})
    loaded = load_network(path)
    assert loaded.report.kind == "Hugging Face ViTPose pose"
    assert loaded.network.architecture == model.architecture
    assert loaded.card.codec == HeatmapCodec("udp", (192, 256))
    assert loaded.card.skeleton is COCO17
    images = torch.randint(0, 256, (1, 3, 256, 192), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded.network(images), model(images))
    other = ViTPose(384, 1, 12, decoder, num_keypoints=5)
    report = initialise(other, path)
    assert {name.partition(":")[0] for name in report.mismatched} == {
        "final_layer.weight", "final_layer.bias"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("width", "heads", "label"), [(384, 12, "S"), (768, 12, "B"), (1024, 16, "L"), (1280, 16, "H")]
)
def test_heads_and_label_follow_from_the_width(width: int, heads: int, label: str) -> None:
    """As the hub's configurations have them; other heads have the same shapes."""
    with torch.device("meta"):
        model = ViTPose(width, 2, heads)
    found = identify({name: tuple(v.shape) for name, v in as_on_the_hub(model).items()})
    assert found.architecture == model.architecture
    assert model.label == f"ViTPose-{label}"


def test_a_large_one_of_the_hub_predicts_as_it_was_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ViTPose(1024, 1, 16, "simple").eval()
    save_file(as_on_the_hub(model), tmp_path / "model.safetensors", {"format": "pt"})
    loaded = load_network(tmp_path / "model.safetensors").network
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))


def test_a_width_that_is_not_published_is_refused(tmp_path: Path) -> None:
    save_file(as_on_the_hub(ViTPose(24, 2, 12)), tmp_path / "model.safetensors")
    said = r"width 24, whose heads .* not tell; give a ViTPose of width 384 \(S\), 768 \(B\), 1024"
    with pytest.raises(ValueError, match=said):
        load_network(tmp_path / "model.safetensors")


def test_documented_keys_of_the_hub() -> None:
    """Those of `transformers`' VitPoseForPoseEstimation."""
    names = as_on_the_hub(ViTPose(24, 2, 12))
    for name in (
        "backbone.embeddings.position_embeddings",
        "backbone.embeddings.patch_embeddings.projection.weight",
        "backbone.encoder.layer.1.attention.attention.query.weight",
        "backbone.encoder.layer.1.attention.attention.value.bias",
        "backbone.encoder.layer.1.attention.output.dense.weight",
        "backbone.encoder.layer.0.layernorm_before.weight",
        "backbone.encoder.layer.0.layernorm_after.bias",
        "backbone.encoder.layer.0.mlp.fc1.weight", "backbone.encoder.layer.0.mlp.fc2.bias",
        "backbone.layernorm.weight", "head.deconv1.weight", "head.batchnorm1.running_mean",
        "head.deconv2.weight", "head.batchnorm2.weight", "head.conv.weight", "head.conv.bias",
    ):  # fmt: skip
        assert name in names
    assert "head.deconv1.bias" not in names
