"""Emotion: which feeling a picture calls up. EmoSet-118K (one label each) and Emotion6 (shares of votes)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from percept.data.published_scores.files import find_pictures, join_parts, need_file, read_lines, read_shares
from percept.data.ratings import Ratings, RatingsError

EMOSET_FILES = {"train": "train.json", "validate": "val.json", "test": "test.json"}
EMOTION6_CATEGORIES = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")


def read_emoset(folder: str | Path) -> Ratings:
    """Read EmoSet-118K: `info.json`, the lists `train.json`, `val.json` and `test.json`, and the pictures they name.

    Entries are [emotion, id, picture, annotation] or, in earlier copies, without the id: the picture is the last but
    one. Categories stand in the order of `info.json` (amusement, awe, contentment, excitement, anger, disgust, fear,
    sadness). Every picture has one label: a single 1 in its row of `distribution`. Annotations are not read.

    Args:
        folder: holds the four JSON files and `image/`.

    Raises:
        RatingsError: names the file, and the entry, counted from 1, as its row.

    Source: Yang et al., EmoSet: A Large-scale Visual Emotion Dataset with Rich Attributes (2023).
    """
    folder = Path(folder)
    number = _label_numbers(folder / "info.json")
    parts, labels = {}, []
    for part, name in EMOSET_FILES.items():
        path = folder / name
        entries = _json(path)
        if not isinstance(entries, list) or not entries:
            raise RatingsError("must be a list of pictures, at least one", path)
        for row, entry in enumerate(entries, 1):
            if not isinstance(entry, list) or len(entry) not in (3, 4) or not all(isinstance(x, str) for x in entry):
                raise RatingsError(f"{entry!r} is not [emotion, id, picture, annotation]", path, row)
            if entry[0] not in number:
                raise RatingsError(f"emotion {entry[0]!r} is none of {', '.join(number)}", path, row)
        labels += [number[entry[0]] for entry in entries]
        parts[part] = find_pictures(path, folder, [entry[-2] for entry in entries], range(1, len(entries) + 1))
    images, split = join_parts(parts)
    return Ratings(images, distribution=np.eye(len(number))[labels], categories=tuple(number), split=split,
                   name="EmoSet-118K")  # fmt: skip


def read_emotion6(folder: str | Path) -> Ratings:
    """Read Emotion6: `ground_truth.txt`, separated by tabs, and `images/<emotion>/<n>.jpg`.

    Columns are taken by position, as its readme lists them: name, valence, arousal (not kept), shares of the votes
    for anger, disgust, fear, joy, sadness, surprise, neutral. The first line is a header whose wording could not be
    confirmed. There are no official parts.

    Args:
        folder: holds `ground_truth.txt` and `images/`.

    Raises:
        RatingsError: names the file and line.

    Source: Peng et al., A Mixed Bag of Emotions: Model, Predict, and Transfer Emotion Distributions (2015).
    """
    path = need_file(Path(folder) / "ground_truth.txt", "name the Emotion6 folder that holds it")
    table = read_lines(path, ["name", "valence", "arousal", *EMOTION6_CATEGORIES], "\t", skip=1)
    shares = read_shares(path, table, EMOTION6_CATEGORIES)
    images = find_pictures(path, Path(folder) / "images", table["name"], table.index)
    return Ratings(images, distribution=shares, categories=EMOTION6_CATEGORIES, name="Emotion6")


def _json(path: Path) -> Any:
    need_file(path, "name the EmoSet-118K folder that holds info.json, train.json, val.json and test.json")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise RatingsError(f"is no JSON ({error}); get the file again", path) from error


def _label_numbers(path: Path) -> dict[str, int]:
    """Emotions and their numbers, in the order of these."""
    info = _json(path)
    try:
        found = {str(name): int(number) for name, number in info["emotion"]["label2idx"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RatingsError("has no table emotion / label2idx of names and numbers", path) from error
    ordered = dict(sorted(found.items(), key=lambda pair: pair[1]))
    if list(ordered.values()) != list(range(len(ordered))):
        raise RatingsError(f"numbers of the emotions must be 0, 1, 2, ..., got {list(ordered.values())}", path)
    return ordered
