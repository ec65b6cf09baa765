"""Pictures as a browser shows them: the same pixels for every rater."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from percept.data.opening import MAX_PIXELS, header, open_image
from percept.data.pixels import orientation

if TYPE_CHECKING:
    from percept.data.triplets import Triplets
    from percept.labelling.plan import Questions


def shown_picture(triplets: Triplets | Questions, row: int, size: int) -> dict[str, Any]:
    """One picture for a square of `size` screen pixels, its own shape kept.

    Smaller ones are enlarged by a whole factor without smoothing, larger ones reduced (Lanczos) to fit. The
    result is a PNG without name or metadata, so that nothing but pixels reaches the rater.

    Returns:
        `src` (data URI), `width` and `height` in CSS pixels, `crisp` (enlarged: no smoothing).

    Raises:
        percept.data.opening.ImageError: a file that is absent or damaged.
    """
    images = triplets.images
    picture = Image.fromarray(images[row]) if isinstance(images, np.ndarray) else open_image(images[row])
    if max(picture.size) > size:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    factor = size // max(picture.size)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    shape = {"width": picture.width * factor, "height": picture.height * factor}
    return {"src": source, "crisp": factor > 1, **shape}


def full_size(triplets: Triplets | Questions, row: int) -> tuple[int, int]:
    """Width and height of a picture in px, upright, whatever size it is shown at; no pixel is decoded.

    Raises:
        percept.data.opening.ImageError: a file that is absent or damaged.
    """
    images = triplets.images
    if isinstance(images, np.ndarray):
        return int(images.shape[2]), int(images.shape[1])
    with header(images[row], MAX_PIXELS) as image:
        return image.size[::-1] if orientation(image) > 4 else image.size  # EXIF 5 to 8 lie on their side


class Shelf:
    """Opens the files of the next trial while the rater looks at this one."""

    def __init__(self, triplets: Triplets | Questions, size: int) -> None:
        self.triplets, self.size = triplets, size
        self.ready: dict[int, dict[str, Any]] = {}

    def take(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Pictures of some rows of the images, as `shown_picture` makes them."""
        return [self.ready.pop(row, {}) or shown_picture(self.triplets, row, self.size) for row in rows]

    def prepare(self, rows: Sequence[int]) -> None:
        """Open these in the background; arrays need no help."""
        self.ready.clear()
        if not isinstance(self.triplets.images, np.ndarray):
            Thread(target=self._open, args=(rows,), daemon=True).start()

    def _open(self, rows: Sequence[int]) -> None:
        with contextlib.suppress(ValueError, OSError):  # it is reported when it is to be shown
            for row in rows:
                self.ready[row] = shown_picture(self.triplets, row, self.size)
