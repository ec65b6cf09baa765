"""The controlled comparison of fine-grained training: more captions, or regions; and which losses on them.

On a copy of a dual encoder with a small matcher (`percept.models.matcher`), every arm sees the same number of pictures.
A step sees `batch_size` pictures, with a caption each or with regions; with regions every second step (or one half of
the run) is such a step, and a picture counts once each time a step shows it, with however many regions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from percept.data.regions import KINDS, Phrase, Region, SceneRegions
from percept.models.encoders import Encoder
from percept.models.matched import Matched
from percept.training.config import FitConfig
from percept.training.fit import fit
from percept.training.localise_batches import LocaliseError, Source
from percept.training.localise_run import LocaliseRun

__all__ = ["LocaliseConfig", "LocaliseError", "Localised", "Source", "localise", "pseudo_regions"]

LOCALISATIONS = ("none", "mask", "box", "both")
FLIPS = ("guarded", "unguarded", "off")
ORDERS = ("mixed", "captions then regions", "regions then captions")


@dataclass(frozen=True)
class LocaliseConfig:
    """An arm of the comparison, and the settings it shares with the others. All losses have weight 1.

    Attributes:
        contrastive, match, mlm: losses on pairs of picture and text: contrast, matching with hard negatives, hidden
            words. They are the same for captions and for regions.
        regions: "none", "labels" or "descriptions".
        localisation: what regions are used for. "none": their texts are further texts of the whole picture. "mask":
            the losses on pairs see the patches of the region only. "box": as "none", and the box is predicted from text
            and whole picture. "both".
        hard_captions: captions made false by one edit are further columns of the contrast (NegCLIP), and further
            unmatched pairs.
        flips: half of the pictures are mirrored. "guarded" exchanges left and right in their texts (so that with and
            without the guard the same pictures are seen), "unguarded" leaves texts as they are, "off" mirrors none.
        order: of steps with captions and with regions: "mixed" (in turn), or all of one kind before the other.
        images: pictures seen, over both kinds; what does not fill a batch is left out.
        batch_size: pictures per step.
        regions_per_image: at most; regions of one picture are each other's negatives.
        blocks, heads, region_blocks, aligned: of the matcher, see `percept.models.matcher.new_matcher`.
        mask_share: of a text's tokens that are to be guessed (X-VLM; of these 8 in 10 are hidden, 1 is another word).
        smoothing: of the draw of hard negatives.
        checkpoints: shares of the run after which `on_checkpoint` is called.
        learning_rate, weight_decay, betas: of AdamW; the rate falls by a cosine, after a rise over `warmup` of the run.
        precision: "auto", "fp32", "bf16" or "fp16".
        seed: of new weights, order, texts, flips, hidden words and negatives.
    """

    contrastive: bool = True
    match: bool = True
    mlm: bool = True
    regions: str = "none"
    localisation: str = "none"
    hard_captions: bool = False
    flips: str = "guarded"
    order: str = "mixed"
    images: int = 20_000
    batch_size: int = 64
    regions_per_image: int = 2
    blocks: int = 2
    heads: int = 6
    region_blocks: int = 2
    aligned: bool = True
    mask_share: float = 0.25
    smoothing: float = 1e-5
    checkpoints: tuple[float, ...] = ()
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: float = 0.05
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        known = {"regions": ("none", *KINDS), "localisation": LOCALISATIONS, "flips": FLIPS, "order": ORDERS}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise LocaliseError(f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}")
        if self.regions == "none" and (self.localisation != "none" or self.order != "mixed"):
            raise LocaliseError('localisation and order are about regions; give regions="labels" or "descriptions"')
        for name, least in {"batch_size": 2, "regions_per_image": 1}.items():
            if getattr(self, name) < least:
                raise LocaliseError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.steps < (1 if self.regions == "none" else 2):
            raise LocaliseError(f"{self.images} images do not fill a batch of {self.batch_size} of each kind")
        if not (self.contrastive or self.match or self.mlm):
            raise LocaliseError("every loss on pairs is off, so a step with captions has none; leave one on")
        for name in ("mask_share", "warmup"):
            if not 0 <= getattr(self, name) <= 1:
                raise LocaliseError(f"{name} must be a share in 0..1, got {getattr(self, name)}")
        if any(not 0 < share <= 1 for share in self.checkpoints):
            raise LocaliseError(f"checkpoints must be shares of the run in (0, 1], got {self.checkpoints}")

    @property
    def steps(self) -> int:
        """Updates of the run."""
        return self.images // self.batch_size

    @property
    def region_steps(self) -> int:
        """How many of them see regions: half, rounded down."""
        return 0 if self.regions == "none" else self.steps // 2


@dataclass(frozen=True, eq=False)
class Localised:
    """A trained matcher, and how it came to be.

    Attributes:
        model: ready to score; `model.encoder` is its dual encoder.
        config: the arm.
        history: rows of metrics; losses are named "captions/match", "regions/giou" and so on, and a row holds those of
            its own step only.
        caption_images, region_images: pictures seen with captions and with regions, over the whole run.
        seconds: of the whole call.
        images_per_second: in the steps of this call; 0 if nothing was left to do.
        device: device, precision, and why each was chosen.
    """

    model: Matched
    config: LocaliseConfig
    history: list[dict[str, Any]]
    caption_images: int
    region_images: int
    seconds: float
    images_per_second: float
    device: str


def localise(
    encoder: Encoder, source: Source, config: LocaliseConfig | None = None, folder: str | Path | None = None, *,
    start: Matched | None = None, on_checkpoint: Callable[[int, Matched], object] | None = None, device: str = "auto",
    resume: bool = True, log: Callable[[dict[str, Any]], object] | None = None,
    progress: Callable[[str], object] | str | None = "auto",
) -> Localised:  # fmt: skip
    """Train a copy of an encoder with a matcher on captions and regions; the encoder itself stays as it is.

    With one seed, arms begin at the same weights and see the same batches as far as they see the same kinds.

    Args:
        encoder: an open_clip model with a ViT, such as percept-tiny.
        source: pictures with captions and regions, such as `percept.data.regions.SceneRegions`.
        config: the arm; captions only if None.
        folder: for checkpoints and metrics: the same call goes on where a killed one stopped, and ends at the same
            weights.
        start: a matcher to begin with instead of untrained blocks, such as one that all arms share; trained with the
            same encoder and sizes.
        on_checkpoint: called with the step and a copy of the model as it is then, after each share in
            `config.checkpoints`. A run that is killed and resumed may call it again for the step it stopped at.
        device, resume, log, progress: as in `percept.training.fit.fit`.

    Raises:
        LocaliseError: a source without what the arm needs, or fewer pictures than a batch.
        percept.models.encoders.EncoderError: an encoder that gives no tokens.
        percept.training.config.TrainingError: as in `percept.training.fit.fit`.
    """
    started, config = time.perf_counter(), config or LocaliseConfig()
    run = LocaliseRun(encoder, source, config, device, on_checkpoint, start)
    settings = FitConfig(
        steps=config.steps, learning_rate=config.learning_rate, warmup=round(config.warmup * config.steps),
        weight_decay=config.weight_decay, betas=config.betas, precision=config.precision, seed=config.seed,
        log_every=25, checkpoint_every=max(1, config.steps // 10) if folder else 0,
    )  # fmt: skip
    began = time.perf_counter()
    result = fit(
        run.matcher, run.batches, run.loss, settings, folder, after_step=run.after_step, device=device, log=log,
        identity=run.identity, resume=resume, progress=progress,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    shown = (result.steps - result.resumed_from) * config.batch_size
    with_regions = config.region_steps * config.batch_size
    return Localised(
        run.model(), config, result.history, config.steps * config.batch_size - with_regions, with_regions,
        time.perf_counter() - started, shown / seconds, result.device,
    )  # fmt: skip


def pseudo_regions(
    model: Matched, source: SceneRegions, rows: Sequence[int], kind: str = "descriptions", least: float = 0.5
) -> dict[int, list[Region]]:
    """Regions that a trained model finds itself: where what the captions name is, as far as it is sure of it.

    Args:
        model: trained with "box" or "both".
        source: of the pictures.
        rows: pictures to look at, such as those without regions.
        kind: "labels" or "descriptions", see `percept.data.regions.SceneRegions.said`.
        least: probability of a match between text and predicted region from which on it is kept.

    Returns:
        By row, for `source.with_regions`; an empty list where nothing was found.
    """
    said = [source.said(row, kind) for row in rows]
    texts = sorted({text for each in said for text in each})
    found: dict[int, list[Region]] = {row: [] for row in rows}
    if not texts:
        return found
    place = {text: number for number, text in enumerate(texts)}
    picture = np.repeat(np.arange(len(said)), [len(each) for each in said])
    sentence = np.array([place[text] for each in said for text in each])
    boxes, sure = model.locate(source.pictures(np.asarray(rows)), texts, picture, sentence)
    for index in np.flatnonzero(sure >= least):
        cx, cy, width, height = boxes[index].tolist()
        phrase = Phrase(texts[sentence[index]], (cx, cy, width, height))
        found[rows[picture[index]]].append(Region(phrase.box, phrase.text, (phrase,)))
    return found
