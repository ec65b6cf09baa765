"""Types 9 and 10: compression, by the codecs that Pillow carries. Float32 [H, W, 3] in 0..1 in and out."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

_JPEG2000_HEADER = 155  # bytes of a bare OpenJPEG stream that hold no picture


def jpeg2000(values: np.ndarray, ratio: float) -> np.ndarray:
    """JPEG 2000 at this ratio of raw to stored bytes; 1 is lossless.

    The header is not counted: on a photograph of KADID's size it does not matter, on a small crop it would eat
    most of the allowance and make the distortion far stronger than the one that was rated.
    """
    stored = values.size / ratio + _JPEG2000_HEADER
    return _through_file(
        values,
        "JPEG2000",
        quality_mode="rates",
        quality_layers=[max(values.size / stored, 1.0) if ratio > 1 else 1],
        irreversible=ratio > 1,
        no_jp2=True,
    )


def jpeg(values: np.ndarray, quality: float) -> np.ndarray:
    """Baseline JPEG, colour at half resolution. 100 does not compress: even that file would lose colour detail."""
    return values if quality >= 100 else _through_file(values, "JPEG", quality=round(quality))


def _through_file(values: np.ndarray, form: str, **options: Any) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(values * 255).astype(np.uint8)).save(buffer, form, **options)
    with Image.open(buffer) as image:
        return np.asarray(image, np.float32) / 255
