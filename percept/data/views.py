"""Views: square crops at native resolution, by which pictures larger than a model's input are read.

A shrunken picture has lost its noise, its blur and its small defects, so quality is read from crops of the original
pixels and their scores are averaged. The grid is the default because it gives the same score every time; random
crops are the protocol of published quality models (PerceptCLIP: 15 of them, seed set once).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from percept.data.opening import MAX_PIXELS, header, open_image
from percept.data.pixels import orientation


def view_corners(length: int, side: int, most: int) -> np.ndarray:
    """First pixels of views along one axis: evenly spaced from edge to edge, int64 [n], n <= most.

    Example:
        >>> view_corners(128, 64, 3).tolist(), view_corners(100, 64, 3).tolist(), view_corners(300, 64, 3).tolist()
        ([0, 64], [0, 36], [0, 118, 236])
    """
    count = min(most, -(-length // side))
    corners: np.ndarray = np.linspace(0, length - side, count).round().astype(np.int64)
    return corners


def grid_views(picture: np.ndarray, side: int, most: int = 3) -> np.ndarray:
    """Crops on a grid that touches all edges; they overlap where they must and leave gaps where `most` is too few.

    Args:
        picture: uint8 [H, W, 3]; one with a side shorter than `side` is enlarged first (bicubic, shape kept).
        side: of a view in pixels, as the model reads it.
        most: views along an axis at most, at least 1; with 1 it is the middle of the picture.

    Returns:
        uint8 [V, side, side, 3], row by row.
    """
    picture = _large_enough(picture, side, most)
    rows, columns = _corners(picture.shape[:2], side, most)
    return np.stack([picture[top : top + side, left : left + side] for top in rows for left in columns])


def random_views(picture: np.ndarray, side: int, count: int = 15, seed: int = 0) -> np.ndarray:
    """Crops anywhere in the picture, as `grid_views` otherwise; other seeds give other scores."""
    picture = _large_enough(picture, side, count)
    rng = np.random.default_rng(seed)
    corners = [[int(rng.integers(length - side + 1)) for length in picture.shape[:2]] for _ in range(count)]
    return np.stack([picture[top : top + side, left : left + side] for top, left in corners])


def _corners(size: tuple[int, ...], side: int, most: int) -> list[np.ndarray]:
    if most == 1:
        return [np.array([(length - side) // 2]) for length in size]
    return [view_corners(length, side, most) for length in size]


def _large_enough(picture: np.ndarray, side: int, count: int) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"picture must be uint8 [H, W, 3], got {picture.dtype} {list(picture.shape)}")
    if side < 1 or count < 1:
        raise ValueError(f"side and number of views must be at least 1, got {side} and {count}")
    height, width = _enlarged(picture.shape[:2], side)
    if (height, width) == picture.shape[:2]:
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def _enlarged(size: tuple[int, ...], side: int) -> tuple[int, int]:
    height, width = size
    scale = max(1.0, side / min(height, width))
    return max(side, round(height * scale)), max(side, round(width * scale))


def _size(file: Path) -> tuple[int, int]:
    """Height and width from the header: decoding a file only to count its views would cost as much as scoring it."""
    with header(file, MAX_PIXELS) as image:
        size = image.height, image.width
        return size if orientation(image) < 5 else size[::-1]


class Views:
    """All grid views of a set of pictures, cut when they are asked for.

    Args:
        pictures: uint8 [N, H, W, 3], a list of such pictures of any size, or a list of image files.
        side, most: as in `grid_views`.

    Attributes:
        owner: int64 [M], which picture each of the M views is of.

    Raises:
        percept.data.opening.ImageError: a file that is absent or damaged, by name.
    """

    def __init__(self, pictures: np.ndarray | list[np.ndarray] | list[Path], side: int, most: int = 3) -> None:
        self.pictures, self.side, self.most = pictures, side, most
        counts = [self._count(row) for row in range(len(pictures))]
        self.owner = np.repeat(np.arange(len(pictures)), counts)
        self._first = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return len(self.owner)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Views at some positions, uint8 [K, side, side, 3]; a file is opened once for those of its views."""
        positions = np.asarray(positions)
        out = np.empty((len(positions), self.side, self.side, 3), np.uint8)
        for row in np.unique(self.owner[positions]):
            mine = np.flatnonzero(self.owner[positions] == row)
            out[mine] = self._grid(int(row))[positions[mine] - self._first[row]]
        return out

    def of(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Position of one random view of each of some pictures, int64 like `rows`."""
        first, last = self._first[rows], self._first[np.asarray(rows) + 1]
        chosen: np.ndarray = rng.integers(first, last)
        return chosen

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over the views of each picture: [M] or [M, K] to [N] or [N, K]."""
        sums = np.add.reduceat(values, self._first[:-1], axis=0)
        means: np.ndarray = sums / np.diff(self._first).reshape(-1, *[1] * (values.ndim - 1))
        return means

    def _count(self, row: int) -> int:
        picture = self.pictures[row]
        if not isinstance(picture, Path):
            return len(self._grid(row))
        rows, columns = _corners(_enlarged(_size(picture), self.side), self.side, self.most)
        return len(rows) * len(columns)

    def _grid(self, row: int) -> np.ndarray:
        picture = self.pictures[row]
        if isinstance(picture, Path):
            picture = np.asarray(open_image(picture))
        return grid_views(picture, self.side, self.most)
