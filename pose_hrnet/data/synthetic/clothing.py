"""What a drawn person wears: colours and cut of clothes, hair and shoes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_hrnet.data.synthetic.canvas import random_colour
from pose_hrnet.keypoints.records import Float64

_SKINS = np.array(
    [(250, 222, 200), (240, 200, 170), (224, 172, 138), (198, 140, 100), (150, 98, 66),
     (98, 62, 44)]
)  # fmt: skip
_HAIRS = np.array(
    [(30, 24, 22), (62, 40, 26), (104, 66, 34), (176, 128, 66), (222, 186, 110), (150, 60, 30),
     (150, 148, 146)]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outfit:
    """Colours (RGB 0 to 255) and cut of one person's clothes and hair.

    Attributes:
        skin: Colour of the skin.
        hair: Colour of the hair.
        shirt: Main colour of the shirt.
        print_: Second colour of the shirt, and of a cap.
        trousers: Colour of trousers or skirt.
        shoes: Colour of the shoes.
        pattern: ``plain``, ``stripes``, ``checks``, ``logo`` or ``jacket``.
        sleeve: Covered share of the arm: 0 none, 0.3 short, 0.97 long.
        legwear: Covered share of the leg: 0.3 shorts, 0.95 trousers.
        skirt: Length of the skirt as a share of the thigh, 0 for none.
        hair_style: ``short``, ``long``, ``tail``, ``bald`` or ``cap``.
    """

    skin: Float64
    hair: Float64
    shirt: Float64
    print_: Float64
    trousers: Float64
    shoes: Float64
    pattern: str
    sleeve: float
    legwear: float
    skirt: float
    hair_style: str


def sample_outfit(rng: np.random.Generator, stance: str) -> Outfit:
    """Draw clothes that can be worn in a stance.

    Args:
        rng: Source of the random numbers.
        stance: As in `pose_hrnet.data.synthetic.figures.Figure`; skirts are for upright people.
    """
    upright = stance in ("stand", "rest", "wide", "walk")
    styles, shares = ("short", "long", "tail", "bald", "cap"), (0.42, 0.26, 0.12, 0.06, 0.14)
    return Outfit(
        skin=_SKINS[rng.integers(len(_SKINS))] * rng.uniform(0.92, 1.04),
        hair=_HAIRS[rng.integers(len(_HAIRS))] * rng.uniform(0.8, 1.15),
        shirt=random_colour(rng),
        print_=random_colour(rng),
        trousers=random_colour(rng, 0.7) * 0.85,
        shoes=random_colour(rng, 0.8),
        pattern=str(rng.choice(("plain", "stripes", "checks", "logo", "jacket"))),
        sleeve=float(rng.choice((0.0, 0.3, 0.97), p=(0.15, 0.45, 0.4))),
        legwear=float(rng.choice((0.3, 0.95), p=(0.3, 0.7))),
        skirt=float(rng.uniform(0.45, 1.0)) if upright and rng.random() < 0.2 else 0.0,
        hair_style=str(rng.choice(styles, p=shares)),
    )
