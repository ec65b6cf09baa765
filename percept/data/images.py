"""Safe images: open any file, scan a folder, read a user's own data folder; what is bad is named."""

from __future__ import annotations

import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from percept.data.labels import KNOWN_COLUMNS, LabelsError, read_labels
from percept.data.opening import MAX_PIXELS, ImageError, load_images, open_image
from percept.data.pixels import tile, tile_starts
from percept.data.scanning import Scan, inside, scan_folder

__all__ = [
    "FolderData",
    "ImageError",
    "LabelsError",
    "Scan",
    "load_images",
    "open_image",
    "read_folder",
    "scan_folder",
    "tile",
    "tile_starts",
]

NOT_CLASSES = ("masks/", "depth/")


@dataclass
class FolderData:
    """A user's images with what is known of them; `paths[i]` belongs to row i of `table`.

    Attributes:
        folder: the data folder.
        paths: good images.
        table: column `file` (path inside the folder) and any of label, count, score, group, caption.
        problems: (path, reason) of what cannot be used.
    """

    folder: Path
    paths: list[Path]
    table: pd.DataFrame
    problems: list[tuple[Path, str]]

    @property
    def classes(self) -> list[str]:
        """Sorted class names; empty when there are no labels."""
        return sorted(self.table["label"].dropna().unique()) if "label" in self.table else []


def read_folder(
    data_dir: str | Path,
    *,
    strict: bool = False,
    decode: bool = True,
    encoding: str | None = None,
    max_pixels: int = MAX_PIXELS,
    bits: int = 16,
) -> FolderData:
    """Read a user's data folder: `labels.csv` if there is one, else class subfolders, else plain images.

    The first subfolder names the class; `masks/` and `depth/` are no classes. Beside class folders, loose
    images are problems. With a `labels.csv` (see `read_labels`) only listed images are used. A class with
    one image warns.

    Args:
        data_dir: the folder.
        strict: the first bad or absent image raises.
        decode: as in `scan_folder`.
        encoding: of labels.csv, overrides the rule.
        max_pixels: as in `open_image`.
        bits: as in `open_image`.

    Raises:
        ImageError: missing folder, no usable image, or with `strict` the first problem.
        LabelsError: a labels.csv that cannot be used, with its row.
    """
    folder = Path(data_dir)
    scan = scan_folder(folder, strict=strict, decode=decode, max_pixels=max_pixels, bits=bits)
    lists = [path for path in scan.ignored if path.parent == folder and path.name.lower() == "labels.csv"]
    data = _from_csv(scan, lists[0], strict, encoding) if lists else _from_subfolders(scan, strict)
    if not data.paths:
        first = "; ".join(f"{inside(path, folder)}: {reason}" for path, reason in data.problems[:3])
        hint = "put images into one subfolder per class, or beside a labels.csv"
        raise ImageError(folder, f"no usable image ({first})" if first else f"no images; {hint}")
    _warn_single(data)
    return data


def _from_csv(scan: Scan, path: Path, strict: bool, encoding: str | None) -> FolderData:
    listed = read_labels(path, encoding)
    good = {unicodedata.normalize("NFC", inside(p, scan.folder)): p for p in scan.paths}
    bad = {unicodedata.normalize("NFC", inside(p, scan.folder)): reason for p, reason in scan.problems}
    problems = list(scan.problems)
    for name, row in zip(listed["file"], listed["row"], strict=True):
        if name not in good and name not in bad:
            if strict:
                raise LabelsError(path, f"{name!r} is not in the folder", int(row))
            problems.append((path, f"row {row}: {name!r} is not in the folder or not an image"))
    kept = listed[listed["file"].isin(good)].drop(columns="row").reset_index(drop=True)
    first = [name for name in ("file", *KNOWN_COLUMNS) if name in kept]
    table = kept[first + [name for name in kept if name not in first]]
    return FolderData(scan.folder, [good[name] for name in table["file"]], table, problems)


def _from_subfolders(scan: Scan, strict: bool) -> FolderData:
    names = {path: inside(path, scan.folder) for path in scan.paths}
    names = {path: name for path, name in names.items() if not name.startswith(NOT_CLASSES)}
    classes = {path: name.split("/")[0] for path, name in names.items() if "/" in name}
    problems = list(scan.problems)
    if classes:
        reason = "lies beside the class folders; move it into one"
        loose = [(path, reason) for path in names if path not in classes]
        if strict and loose:
            raise ImageError(*loose[0])
        problems += loose
    kept = list(classes or names)
    table = pd.DataFrame({"file": [names[path] for path in kept]})
    if classes:
        table["label"] = [classes[path] for path in kept]
    return FolderData(scan.folder, kept, table, problems)


def _warn_single(data: FolderData) -> None:
    if "label" not in data.table:
        return
    sizes = data.table["label"].value_counts()
    single = sorted(sizes.index[sizes == 1])
    if single:
        names = ", ".join(single[:5])
        warnings.warn(f"{data.folder}: only one image of {names}; nothing is left to test on", stacklevel=3)
