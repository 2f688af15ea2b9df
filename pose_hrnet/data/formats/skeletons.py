"""Finds the `Skeleton` of a data set: by name, in a YAML file, or in its COCO category.

What a category does not say is guessed, and told in one log line: flip pairs from left and right
in the names, sigmas of COCO's keypoints from COCO and `DEFAULT_SIGMA` for others, the upper body
from the names of body parts. A YAML file says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pose_hrnet.data.formats.coco import Category, read_category
from pose_hrnet.data.formats.mpii import read_mpii
from pose_hrnet.data.formats.rows import is_list
from pose_hrnet.keypoints.records import ImageId
from pose_hrnet.keypoints.skeleton import (
    COCO17,
    SKELETONS,
    Skeleton,
    guess_flip_pairs,
    known_skeleton,
    words_of,
)
from pose_hrnet.system.strict_yaml import read_yaml
from pose_hrnet.system.text import counted

log = logging.getLogger(__name__)

DEFAULT_SIGMA = 0.05
"""OKS sigma of a keypoint that nothing is known of: between COCO's eyes (0.025) and hips (0.107).

A smaller sigma scores the same error lower, so AP compares only between equal sigmas.
"""

_UPPER_PARTS = frozenset(
    [
        "nose", "eye", "ear", "head", "face", "mouth", "chin", "forehead", "neck", "throat",
        "thorax", "chest", "shoulder", "elbow", "wrist", "hand", "arm", "finger", "thumb",
    ]
)  # fmt: skip


_COCO_SIGMAS = dict(zip(COCO17.keypoint_names, COCO17.sigmas, strict=True))


class SkeletonFile(msgspec.Struct, forbid_unknown_fields=True):
    """What a skeleton YAML may hold; keypoints go by their names, and nothing is required.

    Attributes:
        name: Short name of the keypoint set.
        keypoints: All names in order, where the annotations have none.
        flip_pairs: ``[left, right]`` names; ``[]`` if there are none.
        links: Pairs of names that a limb joins.
        sigmas: OKS sigmas: one per keypoint in order, or ``{name: sigma}`` for some.
        joint_weights: Weights in the loss, likewise; 1 for those not named.
        upper_body: Names of the upper body's keypoints.
    """

    name: str | None = None
    keypoints: list[str] | None = None
    flip_pairs: list[tuple[str, str]] | None = None
    links: list[tuple[str, str]] | None = None
    sigmas: list[float] | dict[str, float] | None = None
    joint_weights: list[float] | dict[str, float] | None = None
    upper_body: list[str] | None = None


def category_row(
    category_id: ImageId,
    name: str,
    keypoint_names: Sequence[str],
    links: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """A category as a file has it, whose limbs count from 1.

    Args:
        category_id: Its id.
        name: Its name.
        keypoint_names: K names.
        links: Pairs of indices, from 0, that a limb joins.
    """
    return {
        "id": category_id,
        "name": name,
        "supercategory": name,
        "keypoints": list(keypoint_names),
        "skeleton": [[a + 1, b + 1] for a, b in links],
    }


def find_skeleton(
    choice: str | None, annotations: Path, category: str | int | None = None
) -> Skeleton:
    """The keypoint set that a setting and an annotation file name together.

    Args:
        choice: A name of `SKELETONS`, a YAML file (`SkeletonFile`), or None: the category's.
        annotations: Of any kind; read unless the choice says everything.
        category: As `AnnotationFile.category` takes it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If nothing names the keypoints, or the YAML does not suit them.
    """
    if choice in SKELETONS:
        return SKELETONS[choice]
    if choice is None:
        return skeleton_of(_category_of(annotations, category), annotations)
    path = Path(choice)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(
            f"skeleton {choice!r} is neither {', '.join(SKELETONS)} nor a YAML file; "
            "give one of them, or null for the keypoints that the annotations name"
        )
    extras = read_skeleton_file(path)
    if extras.keypoints is not None:
        named = Category(0, path.stem, tuple(extras.keypoints))
        return skeleton_of(named, path, extras)
    return skeleton_of(_category_of(annotations, category), annotations, extras, told_by=path)


def _category_of(annotations: Path, category: str | int | None) -> Category:
    return (
        read_mpii(annotations).category(category)
        if is_list(annotations)
        else read_category(annotations, category)
    )


def read_skeleton_file(path: Path) -> SkeletonFile:
    """Read a skeleton YAML.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no YAML, or has an unknown key or a value of the wrong type.
    """
    try:
        return msgspec.convert(read_yaml(path) or {}, SkeletonFile)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no skeleton file {path}") from None
    except msgspec.ValidationError as error:
        keys = ", ".join(SkeletonFile.__struct_fields__)
        raise ValueError(f"{path} is no skeleton: {error}; its keys are {keys}") from None


def skeleton_of(
    category: Category,
    source: Path,
    extras: SkeletonFile | None = None,
    *,
    told_by: Path | None = None,
) -> Skeleton:
    """The skeleton of a category, with what a YAML adds to it; guesses are logged.

    Args:
        category: Names and limbs.
        source: Where the names stand, for messages.
        extras: What is known besides; None: a known skeleton of exactly these names is taken.
        told_by: Where `extras` come from, for messages; None: `source`.

    Raises:
        ValueError: If the category has no names, or the extras do not suit them.
    """
    names = category.keypoint_names
    if not names:
        raise ValueError(
            f"{source} has no keypoint names in category {category.name!r}; write them there as "
            f"'keypoints', or choose a skeleton: {', '.join(SKELETONS)} or a YAML file"
        )
    known = known_skeleton(names)
    if known is not None and extras is None:
        return known
    extras = extras or SkeletonFile()
    index = _Index(names, told_by or source)
    guesses: list[str] = []
    pairs = None if extras.flip_pairs is None else index.pairs(extras.flip_pairs, "flip_pairs")
    if pairs is None:
        pairs, lonely = guess_flip_pairs(names)
        told = ", ".join(f"{names[a]}-{names[b]}" for a, b in pairs) or "none"
        guesses.append(f"flip pairs {told}")
        if lonely:
            guesses.append(f"{', '.join(lonely)} without its other side")
    if extras.links is None:
        links = _links(category, source)
    else:
        links = index.pairs(extras.links, "links")
    stated, by_name = index.numbers(extras.sigmas, "sigmas"), _COCO_SIGMAS
    sigmas = tuple(stated.get(name, by_name.get(name, DEFAULT_SIGMA)) for name in names)
    if len(stated) < len(names):
        new = [name for name in names if name not in stated and name not in by_name]
        guesses.append(
            "sigmas COCO's" + (f", and {DEFAULT_SIGMA} for {', '.join(new)}" if new else "")
        )
    if extras.upper_body is None:
        upper = tuple(k for k, name in enumerate(names) if _UPPER_PARTS & set(words_of(name)))
        guesses.append(f"upper body {', '.join(names[k] for k in upper) or 'none'}")
    else:
        upper = tuple(index.of(name, "upper_body") for name in extras.upper_body)
    if guesses:
        log.info("%s: guessed %s; a skeleton YAML can say otherwise", source, "; ".join(guesses))
    weights = index.numbers(extras.joint_weights, "joint_weights")
    return Skeleton(
        name=extras.name or (told_by or source).stem,
        keypoint_names=names,
        flip_pairs=pairs,
        links=links,
        sigmas=sigmas,
        upper_body=upper,
        joint_weights=tuple(weights.get(name, 1.0) for name in names),
    )


class _Index:
    """Looks keypoints up by name, and says in one sentence what is wrong.

    Args:
        names: The keypoints.
        path: The file whose values are looked up.
    """

    def __init__(self, names: Sequence[str], path: Path) -> None:
        self.names, self.path = names, path
        self.place = {name: k for k, name in enumerate(names)}

    def of(self, name: str, key: str) -> int:
        if name not in self.place:
            raise ValueError(
                f"{self.path} names {name!r} in {key}, but the keypoints are "
                f"{', '.join(self.names)}"
            )
        return self.place[name]

    def pairs(self, pairs: Iterable[tuple[str, str]], key: str) -> tuple[tuple[int, int], ...]:
        return tuple((self.of(a, key), self.of(b, key)) for a, b in pairs)

    def numbers(self, values: list[float] | dict[str, float] | None, key: str) -> dict[str, float]:
        """By name; one per keypoint if they are a list."""
        if isinstance(values, list):
            if len(values) != len(self.names):
                raise ValueError(
                    f"{self.path} has {len(values)} {key} for {len(self.names)} keypoints "
                    f"({', '.join(self.names)}); give one per keypoint, or name: value for some"
                )
            values = dict(zip(self.names, values, strict=True))
        for name, value in (values or {}).items():
            self.of(name, key)
            if not value > 0:
                raise ValueError(f"{self.path} gives {name!r} {value} in {key}; give one above 0")
        return values or {}


def _links(category: Category, source: Path) -> tuple[tuple[int, int], ...]:
    """Pairs by number or name; COCO counts from 1, a file with a keypoint 0 counts from 0.

    Limbs are for drawing alone, so that those which are none are left out, and told.
    """
    names, given = category.keypoint_names, category.skeleton or []
    pairs = [pair for pair in given if _is_pair(pair)] if isinstance(given, list) else []
    first = 0 if any(0 in pair for pair in pairs) else 1
    place: dict[Any, int] = {k + first: k for k in range(len(names))}
    place |= {name: k for k, name in enumerate(names)}
    links = tuple((place[a], place[b]) for a, b in pairs if a in place and b in place)
    if wrong := (len(given) if isinstance(given, list) else 1) - len(links):
        odd = next((p for p in pairs if not {*p} <= {*place}), given)
        log.warning(
            "%s: left out %s of category %r that are not two of its keypoints %d to %d, such as "
            "%s; nothing but drawings needs them: correct them, or give links in a skeleton YAML",
            source, counted(wrong, "limb"), category.name, first, first + len(names) - 1,
            str(odd)[:80],
        )  # fmt: skip
    return links


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(each, int | float | str) for each in value)
    )
