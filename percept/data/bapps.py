"""BAPPS, the data of LPIPS: patches with 2AFC votes (`2afc/`) and just noticeable differences (`jnd/`).

Files of one stem belong together: `ref/000000.png`, `p0/000000.png`, `p1/000000.png`, `judge/000000.npy`.
Pooling over all triplets and the mean of subset means are different figures: say which one is meant
(`Triplets.groups` holds the subset).

Source: Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from percept.data.opening import load_images
from percept.data.triplet_files import SUFFIXES, load_array
from percept.data.triplets import Triplets, TripletsError

VOTES = {"train": 2, "val": 5}  # people asked about each triplet


@dataclass(frozen=True, eq=False)
class JndPairs:
    """P pairs of pictures and how many people took the two for the same.

    Attributes:
        images: N picture files.
        items: int64 [P, 2], positions in `images`.
        same: float64 [P] in 0..1, share of the votes (three each in BAPPS) for "the same".
        groups: str [P], subset.
    """

    images: list[Path]
    items: np.ndarray
    same: np.ndarray
    groups: np.ndarray

    def pictures(self, positions: Any = None) -> list[Image.Image]:
        """RGB pictures at some positions (default all), opened now."""
        return load_images(self.images if positions is None else [self.images[i] for i in positions])


def read_bapps(folder: str | Path, split: str, subsets: Sequence[str] | None = None) -> Triplets:
    """Read the 2AFC part of BAPPS; `vote_right` is the share that preferred p1, `groups` the subset.

    Args:
        folder: the `dataset` folder, which holds `2afc/{train,val}/<subset>/{ref,p0,p1,judge}`.
        split: "train" (two votes per triplet) or "val" (five). There is no test split.
        subsets: names such as "cnn" or "traditional"; default all that are there.

    Raises:
        TripletsError: absent folders or subsets, files without partner, votes that are no share.
    """
    if split not in VOTES:
        raise TripletsError(f"split must be one of {', '.join(VOTES)} (BAPPS has no other), got {split!r}")
    root = Path(folder) / "2afc" / split
    images, shares, groups = _read(root, subsets, ("ref", "p0", "p1"), "judge")
    items = np.arange(len(images)).reshape(-1, 3)
    return Triplets(images, items, shares, np.full(len(shares), VOTES[split]), groups, "BAPPS 2AFC", split)


def read_bapps_jnd(folder: str | Path, subsets: Sequence[str] | None = None) -> JndPairs:
    """Read the just-noticeable-difference part of BAPPS, `jnd/val/<subset>/{p0,p1,same}`; errors as `read_bapps`."""
    images, shares, groups = _read(Path(folder) / "jnd" / "val", subsets, ("p0", "p1"), "same")
    return JndPairs(images, np.arange(len(images)).reshape(-1, 2), shares, groups)


def _read(
    root: Path, subsets: Sequence[str] | None, sides: tuple[str, ...], votes: str
) -> tuple[list[Path], np.ndarray, np.ndarray]:
    if not root.is_dir():
        raise TripletsError("no such folder; name the BAPPS folder that holds 2afc/ and jnd/", root)
    there = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if isinstance(subsets, str):
        subsets = [subsets]
    absent = sorted(set(subsets or []) - set(there))
    if absent or not there:
        raise TripletsError(f"has no subset {absent[0] if absent else ''!r}; there are: {', '.join(there)}", root)
    images: list[Path] = []
    shares: list[float] = []
    groups: list[str] = []
    for subset in there if subsets is None else subsets:
        files = [_by_stem(root / subset / side, SUFFIXES) for side in sides]
        files.append(_by_stem(root / subset / votes, (".npy",)))
        for stem in _partners(root / subset, files, (*sides, votes)):
            images += [part[stem] for part in files[:-1]]
            shares.append(_share(files[-1][stem]))
            groups.append(subset)
    return images, np.array(shares), np.array(groups)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise TripletsError("no such folder; unpack the archive again", folder)
    files = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith("."))
    return {path.stem: path for path in files}


def _partners(folder: Path, files: list[dict[str, Path]], names: tuple[str, ...]) -> list[str]:
    everything = set().union(*files)
    if not everything:
        raise TripletsError("holds no files; unpack the archive again", folder)
    for part, name in zip(files, names, strict=True):
        alone = sorted(everything - set(part))
        if alone:
            raise TripletsError(
                f"{alone[0]!r} is missing in {name}/ ({len(alone)} of {len(everything)}); unpack it again", folder
            )
    return sorted(everything)


def _share(path: Path) -> float:
    values = load_array(path)
    if values.size != 1 or not np.issubdtype(values.dtype, np.number) or not 0 <= float(values.reshape(())) <= 1:
        raise TripletsError(f"holds {values.tolist()!r} instead of one share of votes from 0 to 1", path)
    return float(values.reshape(()))
