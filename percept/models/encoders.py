"""One contract for every encoder: pictures or sentences in, unit rows out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from percept.device import autocast, pick_device, pick_precision
from percept.models.preprocessing import Images, Preprocess, check_images
from percept.models.texts import check_texts, token_count
from percept.models.towers import check_kind, tower_features

Progress = Callable[[int, int], None]


class EncoderError(ValueError):
    """An encoder cannot be made or used as asked, with the way out."""


class NoTextTower(EncoderError):  # noqa: N818 - says what is missing
    """The encoder reads pictures only."""


@dataclass(eq=False)
class Encoder:
    """A frozen model with everything needed to use it; make one with `load_encoder`.

    Attributes:
        name: What it was loaded as.
        model: The torch module, in eval mode on ``device``.
        preprocess: PIL image to float32 tensor [3, H, W].
        fingerprint: Hex digest of architecture, activation, weights, preprocessing and tokenizer.
        dim: Length of an embedding.
        device: Where the model runs.
        precision: ``fp32``, ``bf16`` or ``fp16`` for the matrix products; outputs are float32.
        tokenizer: list[str] to tokens [N, context], or None without a text tower.
        parts: What the fingerprint covers besides the weights, as plain JSON values.
    """

    name: str
    model: nn.Module
    preprocess: Preprocess
    fingerprint: str
    dim: int
    device: torch.device
    precision: str = "fp32"
    tokenizer: Any = None
    parts: dict[str, Any] = field(default_factory=dict, repr=False)
    _warned: bool = field(default=False, repr=False)

    @property
    def image_size(self) -> int | tuple[int, int]:
        """Side in pixels after preprocessing, or (height, width) if not square."""
        height, width = self.preprocess.size
        return height if height == width else (height, width)

    @property
    def logit_scale(self) -> float | None:
        """Factor from cosine to logit (the inverse temperature), or None without a text tower."""
        value = getattr(self.model, "logit_scale", None)
        return None if value is None or self.tokenizer is None else float(value.detach().exp())

    @property
    def visual(self) -> nn.Module:
        """The image tower alone."""
        tower: nn.Module = getattr(self.model, "visual", self.model)
        return tower

    def encode_images(self, images: Images, batch_size: int = 64, *, progress: Progress | None = None) -> torch.Tensor:
        """Embed pictures.

        Args:
            images: List of PIL images (RGB or L) or of uint8 arrays [H, W, 3]; or one uint8 array or
                tensor [N, H, W, 3]. Every form of the same picture gives the same row.
            batch_size: Pictures per forward pass.
            progress: Called with (done, total) after each batch.

        Returns:
            float32 [N, dim] on the CPU with rows of length 1: the projection into the space shared
            with text, or `features(kind="global")` for models without a text tower.

        Raises:
            ValueError: If there are no pictures or one is not usable; the message names it.
        """

        def embed(pixels: torch.Tensor) -> torch.Tensor:
            if self.tokenizer is None:
                return tower_features(self.model, pixels, "global")
            embedding: torch.Tensor = self.model.encode_image(pixels)  # type: ignore[operator]
            return embedding

        return self._over_batches(images, batch_size, lambda x: F.normalize(embed(x).float(), dim=-1), progress)

    def features(
        self, images: Images, kind: str = "global", batch_size: int = 64, *, progress: Progress | None = None
    ) -> torch.Tensor:
        """Return features of the image tower before the projection into the text space, not normalised.

        Args:
            images: As in `encode_images`.
            kind: ``"global"`` gives [N, D]: the pooled token after the final norm (conv nets: pooled
                last feature map). ``"patch"`` gives [N, D, h, w]: patch tokens after the final norm
                (conv nets: last feature map). ``"cls_patch"`` gives [N, 2D]: class token and mean patch
                token of the last block before the final norm (as DreamSim's patch variant).
            batch_size: Pictures per forward pass.
            progress: Called with (done, total) after each batch.

        Returns:
            float32 on the CPU.

        Raises:
            ValueError: If a picture is not usable, ``kind`` is unknown, or the tower has none of that
                kind (`percept.models.towers.NoSuchFeature`: conv nets have no class token).
        """
        check_kind(kind)
        return self._over_batches(images, batch_size, lambda x: tower_features(self.visual, x, kind), progress)

    def encode_texts(self, texts: Sequence[str], batch_size: int = 256) -> torch.Tensor:
        """Embed sentences.

        Args:
            texts: Sentences. One longer than the context is cut, with one warning that names it.
            batch_size: Sentences per forward pass.

        Returns:
            float32 [N, dim] on the CPU with rows of length 1.

        Raises:
            NoTextTower: If the encoder reads pictures only.
            ValueError: If there are no sentences, or one is empty or no string.
        """
        if self.tokenizer is None:
            raise NoTextTower(
                f"encoder {self.name!r} has no text tower; "
                "use percept-tiny or an open_clip model for anything that needs sentences"
            )
        texts = check_texts(texts)
        tokens = self.tokenizer(texts)
        self._warn_if_cut(texts, tokens)
        rows = []
        with torch.inference_mode(), autocast(self.device, self.precision):
            for part in tokens.split(batch_size):
                row: torch.Tensor = self.model.encode_text(part.to(self.device))  # type: ignore[operator]
                rows.append(F.normalize(row.float(), dim=-1).cpu())
        return torch.cat(rows)

    def _over_batches(
        self,
        images: Images,
        batch_size: int,
        compute: Callable[[torch.Tensor], torch.Tensor],
        progress: Progress | None,
    ) -> torch.Tensor:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        checked = check_images(images)
        self.model.eval()
        out: torch.Tensor | None = None
        with torch.inference_mode(), autocast(self.device, self.precision):
            for start in range(0, len(checked), batch_size):
                pixels = torch.from_numpy(self.preprocess.pixels(checked[start : start + batch_size]))
                rows = compute(self.preprocess.scale(pixels.to(self.device)))
                if out is None:
                    out = torch.empty(len(checked), *rows.shape[1:])
                out[start : start + len(rows)] = rows
                if progress is not None:
                    progress(start + len(rows), len(checked))
        assert out is not None
        # An inference tensor could not be used in later training; a plain copy can.
        return out.clone()

    def _warn_if_cut(self, texts: list[str], tokens: torch.Tensor) -> None:
        if self._warned:
            return
        for index in (tokens[:, -1] != 0).nonzero().flatten().tolist():
            length = token_count(self.tokenizer, texts[index])
            if length > tokens.shape[1]:
                self._warned = True
                warnings.warn(
                    f"text {index} has {length} tokens and is cut to {tokens.shape[1]}: {texts[index]!r} "
                    "(later ones are cut without a warning)",
                    stacklevel=3,
                )
                return


def load_encoder(
    name: str | Path = "percept-tiny",
    pretrained: str | Path | None = None,
    *,
    device: str = "auto",
    activation: str | None = None,
    precision: str = "auto",
    image_size: int | None = None,
) -> Encoder:
    """Load an encoder.

    Args:
        name: ``"percept-tiny"`` and ``"efficientnet-lite0"`` (both offline); the path of a folder in
            open_clip's or timm's ``local-dir:`` form; an open_clip name (``"ViT-B-32"``,
            ``"hf-hub:ORG/REPO"``); or ``"timm:NAME"``.
        pretrained: For open_clip and timm names: a published tag (this downloads), the path of a weights
            file (this does not), or ``"random"``. A timm name without it uses timm's default tag.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
        activation: ``"gelu"`` or ``"quickgelu"``. Needed for an open_clip name with a weights file, which
            does not say what it was trained with; elsewhere it is checked against the configuration, and
            refused for timm models and efficientnet-lite0.
        precision: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        image_size: Side in pixels at which a conv net of timm reads pictures, at least 32; smaller is
            faster. Part of the fingerprint. Refused for models with a fixed grid of patches.

    Returns:
        The encoder, in eval mode.

    Raises:
        EncoderError: If the name, weights, activation or network do not fit; the message says what to do.
        percept.device.DeviceError: If the device or precision is absent.
    """
    if activation not in (None, "gelu", "quickgelu"):
        raise EncoderError(f"activation must be 'gelu' or 'quickgelu', got {activation!r}")
    chosen = pick_device(device).device
    number_format = pick_precision(chosen, precision).precision
    encoder = _load(str(name), pretrained, activation, image_size)
    encoder.device, encoder.precision = chosen, number_format
    encoder.model.to(chosen).eval().requires_grad_(False)
    return encoder


def _load(name: str, pretrained: str | Path | None, activation: str | None, image_size: int | None) -> Encoder:
    from percept.models import clip, timm_models

    folder = Path(name.removeprefix("local-dir:")).expanduser()
    of_timm = name == "efficientnet-lite0" or name.startswith("timm:") or timm_models.is_folder(folder)
    if activation is not None and of_timm:
        raise EncoderError(f"{name!r} has one activation, that of its architecture; leave out {activation=}")
    if image_size is not None and not of_timm:
        raise EncoderError(f"{name!r} reads pictures of one size; leave out {image_size=} (for conv nets of timm only)")
    if name == "efficientnet-lite0":
        if pretrained is not None:
            raise EncoderError(
                f"{name!r} brings its own weights; leave out pretrained={str(pretrained)!r}, or load other weights "
                "with the name 'timm:tf_efficientnet_lite0'"
            )
        return timm_models.load_efficientnet(image_size)
    if name.startswith("timm:"):
        return timm_models.load_timm(name.removeprefix("timm:"), pretrained, image_size)
    if of_timm:
        return timm_models.load_folder(name, pretrained, image_size)
    if name == "percept-tiny" or folder.is_dir():
        return clip.load_folder(name, pretrained, activation)
    return clip.load_open_clip(name, pretrained, activation)
