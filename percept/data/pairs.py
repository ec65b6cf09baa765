"""Sources of image-text pairs for pretraining, all with `len(pairs)` and `pairs.batch(indices, rng)`.

Access is random and every choice is drawn from the generator that is handed in, so that an interrupted
training can go on with exactly the batch it was at. Webdataset shards are in `percept.data.shards`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from percept.data.images import ImageError, open_image

Problem = tuple[str, str]


class PairsError(ValueError):
    """A source of pairs cannot be used; the message names the file and the row."""


class ArrayPairs:
    """Images in memory, with one or more captions each.

    Args:
        images: uint8 `[N, H, W, 3]`.
        captions: N lists of captions; one of a list is drawn each time.

    Raises:
        PairsError: Shapes or counts do not fit, or an image has no caption; the message names the row.

    Example:
        >>> pairs = ArrayPairs(np.zeros((2, 8, 8, 3), np.uint8), [["a cat"], ["a dog", "a puppy"]])
        >>> pairs.batch(np.array([0]), np.random.default_rng(0))[1]
        ['a cat']
    """

    def __init__(self, images: np.ndarray, captions: Sequence[Sequence[str]]) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise PairsError(f"images must be uint8 [N, H, W, 3], got {images.dtype} {list(images.shape)}")
        self.images, self.captions = images, _checked_captions(captions, len(images))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        """Images uint8 `[B, H, W, 3]` and one caption of each."""
        return self.images[indices], choose(self.captions, indices, rng)


class OpenedPairs:
    """Images that are opened when a batch needs them.

    Args:
        sources: what `opener` takes, one per image.
        captions: a list of captions for each.
        opener: source -> RGB image; raises `ImageError`.
        problems: (where, reason) of what the reader left out.
        threads: images decoded at the same time; Pillow releases Python's lock while it decodes.
    """

    def __init__(
        self, sources: Sequence[Any], captions: Sequence[Sequence[str]],
        opener: Callable[[Any], Image.Image] = open_image, problems: Sequence[Problem] = (), threads: int = 4,
    ) -> None:  # fmt: skip
        self.sources, self.captions = list(sources), _checked_captions(captions, len(sources))
        self.opener, self.problems, self.threads = opener, list(problems), threads

    def __len__(self) -> int:
        return len(self.sources)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[list[Image.Image], list[str]]:
        """B RGB images of any size and one caption of each."""
        captions = choose(self.captions, indices, rng)
        with ThreadPoolExecutor(self.threads) as pool:
            images = list(pool.map(self.opener, [self.sources[int(index)] for index in indices]))
        return images, captions

    def without_bad_images(self, *, strict: bool = False) -> OpenedPairs:
        """Open every image once, so that no bad one ends a training hours later.

        Args:
            strict: raise at the first bad image instead of leaving it out.

        Returns:
            The pairs whose image opens; the others are added to `problems`.

        Raises:
            PairsError: No image is left, or one is bad under `strict`.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            reasons = list(pool.map(self._reason, self.sources))
        bad = [(str(source), reason) for source, reason in zip(self.sources, reasons, strict=True) if reason]
        if bad and strict:
            raise PairsError(
                f"{bad[0][0]}: {bad[0][1]} ({len(bad)} bad images; strict=False leaves them out)"
            )
        good = [index for index, reason in enumerate(reasons) if not reason]
        if not good:
            raise PairsError(
                f"no image can be opened; the first is {bad[0][0]}: {bad[0][1]}" if bad else "no images"
            )
        sources, captions = [self.sources[index] for index in good], [self.captions[index] for index in good]
        return OpenedPairs(sources, captions, self.opener, [*self.problems, *bad], self.threads)

    def _reason(self, source: Any) -> str:
        try:
            self.opener(source)
        except ImageError as error:
            return error.reason
        return ""


def read_csv(
    path: str | Path,
    images: str | Path | None = None,
    *,
    separator: str | None = None,
    image_column: str = "filepath",
    caption_column: str = "title",
    strict: bool = False,
    decode: bool = True,
) -> OpenedPairs:
    """Read open_clip's csv: an image path and a caption per row; the rows of one image are joined.

    Args:
        path: UTF-8 file.
        images: folder that relative paths start from; the csv's folder when None.
        separator: a tab is taken if the header holds one, else a comma, when None.
        image_column: header of the path column.
        caption_column: header of the caption column.
        strict: the first bad row or image raises, instead of being reported in `problems`.
        decode: open each image once now; without it a bad image raises when a batch needs it.

    Returns:
        The pairs; `problems` tells what was left out.

    Raises:
        PairsError: A column is missing, no row is usable, or one is not and `strict` is set.
    """
    path = Path(path)
    root = Path(images) if images else path.parent
    captions: dict[Path, list[str]] = {}
    problems: list[Problem] = []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = stream.readline()
        stream.seek(0)
        rows = csv.DictReader(stream, delimiter=separator or ("\t" if "\t" in header else ","))
        missing = {image_column, caption_column} - set(rows.fieldnames or [])
        if missing:
            raise PairsError(
                f"{path}: no column {sorted(missing)} in the header {rows.fieldnames}; name the columns with "
                "image_column= and caption_column=, or the separator"
            )
        for row in rows:
            name, caption = (row[image_column] or "").strip(), (row[caption_column] or "").strip()
            reason = "" if name and caption else "no caption" if name else "no image path"
            if not reason and not (root / name).is_file():
                reason = f"image {name!r} is not in {root}"
            if reason:
                problems.append((f"{path} line {rows.line_num}", reason))
            else:
                captions.setdefault(root / name, []).append(caption)
    return _finish(path, captions, problems, strict, decode)


def read_coco(
    path: str | Path, images: str | Path, *, strict: bool = False, decode: bool = True
) -> OpenedPairs:
    """Read COCO captions: a JSON with `images` (id, file_name) and `annotations` (image_id, caption).

    Args:
        path: for example `captions_train2017.json`.
        images: folder of the image files.
        strict: the first bad annotation or image raises.
        decode: see `read_csv`.

    Returns:
        One entry per image with all its captions.

    Raises:
        PairsError: Not such a JSON, nothing usable, or something is not and `strict` is set.
    """
    path, root = Path(path), Path(images)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        notes = [(note["image_id"], str(note["caption"]).strip()) for note in content["annotations"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise PairsError(f"{path} is not a COCO captions file ({type(error).__name__}: {error})") from error
    captions: dict[Path, list[str]] = {}
    problems: list[Problem] = []
    absent = {key for key, name in names.items() if not (root / name).is_file()}
    problems += [(f"{path} image {key}", f"image {names[key]!r} is not in {root}") for key in sorted(absent)]
    for number, (key, caption) in enumerate(notes):
        if key not in names or not caption:
            reason = "no caption" if key in names else f"image id {key} is not among the images"
            problems.append((f"{path} annotation {number}", reason))
        elif key not in absent:
            captions.setdefault(root / names[key], []).append(caption)
    return _finish(path, captions, problems, strict, decode)


def templated(labels: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """Captions from class names and sentences of one's own vocabulary.

    Args:
        labels: one label per image.
        templates: sentences with `{}` where the label goes.

    Returns:
        One list of captions per label, for any of the sources above.

    Example:
        >>> templated(["scratch"], ["a {} on the cover", "{} seen from above"])
        [['a scratch on the cover', 'scratch seen from above']]
    """
    wrong = [template for template in templates if "{}" not in template]
    if wrong or not templates:
        raise PairsError(f"templates need a {{}} for the label, got {wrong or list(templates)}")
    return [[template.replace("{}", label) for template in templates] for label in labels]


def choose(captions: Sequence[Sequence[str]], indices: np.ndarray, rng: np.random.Generator) -> list[str]:
    """One caption of each row in `indices`, drawn evenly."""
    draws = rng.random(len(indices))
    rows = [captions[int(index)] for index in indices]
    return [options[int(draw * len(options))] for options, draw in zip(rows, draws, strict=True)]


def _finish(
    path: Path, captions: dict[Path, list[str]], problems: list[Problem], strict: bool, decode: bool
) -> OpenedPairs:
    if problems and strict:
        raise PairsError(f"{problems[0][0]}: {problems[0][1]} ({len(problems)} problems)")
    if not captions:
        first = f": {problems[0][0]}: {problems[0][1]}" if problems else ""
        raise PairsError(f"{path} has no usable pair{first}")
    pairs = OpenedPairs(list(captions), list(captions.values()), problems=problems)
    return pairs.without_bad_images(strict=strict) if decode else pairs


def _checked_captions(captions: Sequence[Sequence[str]], count: int) -> Sequence[Sequence[str]]:
    if len(captions) != count:
        raise PairsError(f"{count} images but {len(captions)} caption lists")
    for row, options in enumerate(captions):
        if (
            isinstance(options, str)
            or not options
            or not all(isinstance(text, str) and text for text in options)
        ):
            raise PairsError(f"row {row} needs a list of non-empty captions, got {options!r}")
    return captions
