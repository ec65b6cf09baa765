"""One call of `localise`: the matcher, the losses of an arm on a batch, and checkpoints."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from torch import Tensor

from percept.device import pick_device
from percept.losses import regions as losses
from percept.losses.contrastive import clip_loss
from percept.models.encoders import Encoder
from percept.models.matched import Matched, matched
from percept.models.matcher import Matcher, View, Words, new_matcher
from percept.training.gradients import Numbers
from percept.training.localise_batches import CAPTIONS, KINDS, LocaliseBatches, LocaliseError, Source

if TYPE_CHECKING:
    from percept.training.localise import LocaliseConfig

_MAX_LOG_SCALE = math.log(100.0)
Losses = dict[str, Tensor]


class LocaliseRun:
    """Matcher and batches of one call of `localise`, with what happens at a step."""

    def __init__(
        self, encoder: Encoder, source: Source, config: LocaliseConfig, device: str,
        on_checkpoint: Callable[[int, Matched], object] | None, start: Matched | None = None,
    ) -> None:  # fmt: skip
        if PartialState().num_processes > 1:
            raise LocaliseError("this training runs in one process; start it without accelerate launch")
        self.encoder, self.config, self.on_checkpoint = encoder, config, on_checkpoint
        self.batches = LocaliseBatches(encoder, source, config)
        self.place = pick_device(device).device
        self.matcher = _begin(encoder, config, start).to(self.place)
        self.due = {max(1, round(share * config.steps)) for share in config.checkpoints}
        self.step = 0
        # `fit` compares the others itself.
        free = {"checkpoints", "learning_rate", "weight_decay", "betas", "warmup", "precision", "seed"}
        settings = {name: value for name, value in asdict(config).items() if name not in free}
        begins = encoder.fingerprint if start is None else start.fingerprint
        self.identity = {"encoder": begins, "source": source.identity, **settings}

    def loss(self, matcher: Any, batch: dict[str, Any]) -> tuple[Tensor, Numbers]:
        """Sum of the arm's losses on a batch, and each of them by name."""
        self.step = batch["step"]
        states = matcher.states(self.encoder.preprocess.scale(batch["pixels"]))
        words = matcher.read(batch["tokens"])
        compute = _on_captions if batch["kind"] == CAPTIONS else _on_regions
        found = compute(self.config, matcher, states, words, batch)
        kind = KINDS[batch["kind"]]
        numbers: Numbers = {f"{kind}/{name}": value.detach() for name, value in found.items()}
        return torch.stack(list(found.values())).sum(), numbers

    def after_step(self, matcher: Any) -> None:
        """Keep the scale of the logits in CLIP's bounds; hand out a copy where a checkpoint is due."""
        with torch.no_grad():
            matcher.clip.logit_scale.clamp_(0.0, _MAX_LOG_SCALE)
        if self.on_checkpoint and self.step + 1 in self.due:
            self.on_checkpoint(self.step + 1, self.model())

    def model(self) -> Matched:
        """A copy of the matcher as it is, ready to score."""
        matcher = copy.deepcopy(self.matcher)
        matcher.__dict__.pop("forward", None)  # what accelerate puts there belongs to the run
        model = matched(self.encoder, matcher)
        model.encoder.device = self.place
        return model


def _begin(encoder: Encoder, config: LocaliseConfig, start: Matched | None) -> Matcher:
    """A new matcher, or a trainable copy of the one to begin with."""
    sizes = {"blocks": config.blocks, "heads": config.heads, "region_blocks": config.region_blocks}
    if start is None:
        return new_matcher(encoder, **sizes, aligned=config.aligned, seed=config.seed)
    facts = start.matcher.facts
    if facts.base_fingerprint != encoder.fingerprint or any(getattr(facts, name) != sizes[name] for name in sizes):
        raise LocaliseError(f"start is {facts}, not of this encoder and {sizes}; give what it was trained with")
    return copy.deepcopy(start.matcher).requires_grad_(True).train()


def _on_captions(
    config: LocaliseConfig, matcher: Matcher, states: Tensor, words: Words, batch: dict[str, Any]
) -> Losses:
    view, count, found = matcher.whole(states), len(states), Losses()
    if config.contrastive:
        scale, true, false = matcher.clip.logit_scale.exp(), words.embedding[:count], words.embedding[count:]
        if config.hard_captions:
            found["contrast"] = losses.negclip_loss(view.embedding, true, false, scale)
        else:
            found["contrast"] = clip_loss(view.embedding, true, scale)
    return found | _on_pairs(config, matcher, view, words, batch)


def _on_regions(
    config: LocaliseConfig, matcher: Matcher, states: Tensor, words: Words, batch: dict[str, Any]
) -> Losses:
    owner, boxes, found = batch["owner"], batch["boxes"], Losses()
    masked, boxed = config.localisation in ("mask", "both"), config.localisation in ("box", "both")
    whole = matcher.whole(states, owner) if boxed or not masked else None
    view = whole if whole is not None and not masked else matcher.regions(states, owner, boxes)
    if config.contrastive:
        scale = matcher.clip.logit_scale.exp()
        found["contrast"] = losses.region_contrast_loss(view.embedding, words.embedding, scale, batch["same"])
    found |= _on_pairs(config, matcher, view, words, batch)
    if boxed and whole is not None:
        own = torch.arange(len(owner), device=owner.device)
        found |= losses.box_loss(matcher.boxes(whole, own, words, own), boxes)
    return found


def _on_pairs(config: LocaliseConfig, matcher: Matcher, view: View, words: Words, batch: dict[str, Any]) -> Losses:
    """Matching and hidden words, of captions and of regions alike."""
    found, count = Losses(), len(view.source)
    own = torch.arange(count, device=view.source.device)
    if config.match:
        similarity = matcher.clip.logit_scale.exp() * view.embedding @ words.embedding[:count].T
        text, picture = losses.hard_negatives(similarity, batch["same"], config.smoothing)
        hard = batch.get("hard_rows", own[:0])
        some, other = text >= 0, picture >= 0
        rows = torch.cat([own, own[some], picture[other], hard])
        texts = torch.cat([own, text[some], own[other], count + own[: len(hard)]])
        logits = matcher.match_logits(view, rows, words, texts)
        found["match"] = losses.matching_loss(logits[:count], logits[count:])
    if config.mlm:
        fused = matcher.fuse(view, own, matcher.read(batch["noisy"], batch["hidden"]), own)
        logits, asked = matcher.word_logits(fused, batch["chosen"]), batch["tokens"][:count][batch["chosen"]]
        found["words"] = losses.masked_language_loss(logits, asked)
    return found
