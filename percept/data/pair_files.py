"""Pairs from the two common caption files: open_clip's csv and COCO's JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from percept.data.pairs import OpenedPairs, PairsError, Problem


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


def read_coco(path: str | Path, images: str | Path, *, strict: bool = False, decode: bool = True) -> OpenedPairs:
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
