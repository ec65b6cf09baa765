"""From pictures to the numbers a model reads: one rule for PIL images and for arrays.

A rule has two steps: geometry (resize and crop, on PIL images) and scaling (0..255 to the model's mean and
standard deviation, on whole batches). Arrays skip the first step exactly when it would change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

Images: TypeAlias = "Sequence[Image.Image | np.ndarray] | np.ndarray | torch.Tensor"
PLAIN_MODES = ("RGB", "L")


class Preprocess:
    """Turn one picture into the tensor a model reads.

    Args:
        geometry: Resizes and crops a PIL image to the model's size.
        size: Height and width after ``geometry``, in pixels.
        mean: Three channel means on the 0..1 scale.
        std: Three channel standard deviations on the 0..1 scale.
        settings: Everything that decides the numbers, as plain JSON values; part of the fingerprint.
    """

    def __init__(
        self,
        geometry: Callable[[Image.Image], Image.Image],
        size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        settings: dict[str, Any],
    ) -> None:
        self.geometry = geometry
        self.size = size
        self.mean = torch.tensor(mean, dtype=torch.float32)
        self.std = torch.tensor(std, dtype=torch.float32)
        self.settings = settings
        self._unchanged: dict[tuple[int, int], bool] = {}

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return the float32 tensor [3, H, W] for one PIL image."""
        return self.scale(torch.from_numpy(self.pixels([image])))[0]

    def pixels(self, images: Images) -> np.ndarray:
        """Return uint8 [N, H, W, 3] at the model's size for PIL images or arrays already checked."""
        if isinstance(images, np.ndarray) and self.leaves_unchanged(images.shape[1], images.shape[2]):
            return np.ascontiguousarray(images)
        return np.stack([np.asarray(self.geometry(_as_pil(image)), dtype=np.uint8) for image in images])

    def scale(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, 3, H, W] for uint8 [N, H, W, 3], on the device of ``pixels``.

        The order of operations is torchvision's (divide, subtract, divide): the results are the same bits.
        """
        mean, std = (value.to(pixels.device).view(1, 3, 1, 1) for value in (self.mean, self.std))
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return planes.div_(255).sub_(mean).div_(std)

    def leaves_unchanged(self, height: int, width: int) -> bool:
        """Say whether resize and crop return a picture of this size as it is (found out by trying)."""
        if (height, width) != self.size:
            return False
        if (height, width) not in self._unchanged:
            noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
            after = np.asarray(self.geometry(Image.fromarray(noise)))
            self._unchanged[height, width] = after.shape == noise.shape and bool((after == noise).all())
        return self._unchanged[height, width]


def from_transform(transform: Any, settings: dict[str, Any]) -> Preprocess:
    """Split a torchvision pipeline, as open_clip and timm make them, into geometry and scaling.

    Args:
        transform: A ``Compose`` of picture operations, one conversion to a tensor, and ``Normalize``.
        settings: Plain values that describe it.

    Raises:
        ValueError: If the pipeline has another form.
    """
    from torchvision.transforms import Compose, Normalize

    steps = list(transform.transforms)
    if len(steps) < 2 or not isinstance(steps[-1], Normalize):
        raise ValueError(f"preprocessing must end in ToTensor and Normalize, got {transform}")
    geometry = Compose(steps[:-2])
    probe = geometry(Image.new("RGB", (97, 131)))
    settings = settings | {"mean": [float(v) for v in steps[-1].mean], "std": [float(v) for v in steps[-1].std]}
    return Preprocess(geometry, (probe.height, probe.width), settings["mean"], settings["std"], settings)


def check_images(images: Images) -> Sequence[Image.Image | np.ndarray] | np.ndarray:
    """Return pictures in a form that can be sliced, or say what is wrong with which one.

    Args:
        images: A list of PIL images (RGB or L) or of uint8 arrays [H, W, 3], or one uint8 array or
            tensor [N, H, W, 3] with channels in RGB order.

    Returns:
        The list, or the array as NumPy.

    Raises:
        ValueError: If there are none, or a shape, type, mode or value is not usable.
        TypeError: If the argument is not a collection of pictures.
    """
    if isinstance(images, torch.Tensor):
        images = images.detach().cpu().numpy()
    if isinstance(images, np.ndarray):
        _check_array(images, "images", 4)
        return images
    if isinstance(images, Image.Image):
        raise TypeError("images is one PIL image; pass a list: [image]")
    if not isinstance(images, list | tuple):
        raise TypeError(f"images must be a list of PIL images or a uint8 array, got {type(images).__name__}")
    if not len(images):
        raise ValueError("images is empty")
    for index, image in enumerate(images):
        if isinstance(image, np.ndarray):
            _check_array(image, f"image {index}", 3)
        elif not isinstance(image, Image.Image):
            raise TypeError(
                f"image {index} is a {type(image).__name__}, not a PIL image; "
                "open files with percept.data.images.open_image"
            )
        elif image.mode not in PLAIN_MODES:
            raise ValueError(
                f"image {index} has mode {image.mode}; open it with percept.data.images.open_image, "
                "or convert it with image.convert('RGB')"
            )
    return images


def _check_array(array: np.ndarray, name: str, ndim: int) -> None:
    wanted = "[N, H, W, 3]" if ndim == 4 else "[H, W, 3]"
    if array.dtype != np.uint8:
        if np.issubdtype(array.dtype, np.floating) and np.isnan(array).any():
            raise ValueError(f"{name} holds NaN, and must be uint8 {wanted}")
        raise ValueError(f"{name} has type {array.dtype}; pass uint8 {wanted} with values 0..255")
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {list(array.shape)}; pass {wanted}")
    if array.shape[-1] != 3:
        hint = {4: "drop the alpha channel: x[..., :3]", 1: "repeat the grey channel three times"}
        move = "move channels last: x.transpose(0, 2, 3, 1)" if ndim == 4 else "move channels last"
        raise ValueError(f"{name} has shape {list(array.shape)}; {hint.get(array.shape[-1], move)}")
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: shape {list(array.shape)}")


def _as_pil(image: Image.Image | np.ndarray) -> Image.Image:
    if isinstance(image, np.ndarray):
        return Image.fromarray(image)
    return image if image.mode == "RGB" else image.convert("RGB")
