"""ViTPose: published parameters, torchvision's encoder, other sizes than those of its places."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.vision_transformer import EncoderBlock

from pose_hrnet.models.build import build_network
from pose_hrnet.models.vit_pose import Block, PatchEmbeddings, ViTPose


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
    with pytest.raises(ValueError, match="width 25, depth 2, heads 2"):
        ViTPose(25, 2, 2)
    with pytest.raises(ValueError, match="decoder 'light'"):
        ViTPose(24, 2, 2, decoder="light")  # type: ignore[arg-type]
