"""Learned prompts: a few vectors before two opposite words, trained so that the words tell pictures apart as people do.

The towers stay frozen. The vectors take the place of word embeddings in the text tower, so the score stays one of two
sentences (see `antonym_scores`), only that nobody can read what is before the words. Pictures are encoded once.

Sources: Zhou et al., CoOp (2022), one context for both words; Wang et al., CLIP-IQA+ (2023), antonyms as a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from percept.device import autocast
from percept.losses.ratings import pearson_loss
from percept.models.encoders import Encoder, EncoderError
from percept.models.texts import token_count
from percept.training.best import Best
from percept.training.config import FitConfig
from percept.training.fit import fit
from percept.training.gradients import Numbers
from percept.training.rate import RateError
from percept.training.score_baselines import labelled, rank_agreement

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "pearson": pearson_loss}


@dataclass(frozen=True, eq=False)
class LearnedPrompt:
    """A trained pair of sentences.

    Attributes:
        context: float32 [L, W], the learned word embeddings.
        direction: float64 [D], embedding of the good sentence less that of the bad one, each of length 1.
        scale: from a difference of cosines to log-odds.
        low, high: range of the training scores, which predictions do not leave.
        step: updates after which validation was best; 0 is the untrained context.
        score: Spearman's correlation on validation at that step.
        history: rows of metrics.
    """

    context: Tensor
    direction: np.ndarray
    scale: float
    low: float
    high: float
    step: int
    score: float
    history: list[dict[str, Any]]

    def predict(self, features: Any) -> np.ndarray:
        """Scores, float64 [M], of features [M, D] as in `learn_prompt`."""
        from scipy.special import expit

        margins = self.scale * (_cosines(np.asarray(features, np.float64), len(self.direction)) @ self.direction)
        return np.asarray(self.low + (self.high - self.low) * expit(margins))


def learn_prompt(
    encoder: Encoder, train_x: Any, train_y: Any, val_x: Any, val_y: Any, good: str = "good photo",
    bad: str = "bad photo", *, length: int = 8, loss: str = "pearson", steps: int = 300, learning_rate: float = 0.02,
    seed: int = 0,
) -> LearnedPrompt:  # fmt: skip
    """Train context vectors on all training pictures at once; the encoder stays as it is.

    Args:
        encoder: with a text tower of open_clip.
        train_x, val_x: [N, D], [V, D], `features_of(encoder, pictures)`: means of rows of length 1.
        train_y, val_y: [N], [V] scores, high for what `good` says.
        good, bad: the words after the context.
        length: vectors.
        loss: "pearson" or "mse" of the share of "good", scores being mapped to 0..1 for it.
        steps: updates of AdamW, with a rate that falls to 0 (cosine); validation every 10 chooses among them.
        learning_rate: at the beginning.
        seed: of the first context, normal with the deviation of the tower's word embeddings.

    Raises:
        percept.models.encoders.NoTextTower: the encoder reads pictures only.
        percept.models.encoders.EncoderError: its text tower is of a kind that is not known.
        RateError: features or scores that do not fit, no room for the context, unknown loss.
    """
    if loss not in LOSSES:
        raise RateError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    prompt = Prompt(encoder, good, bad, length, seed)
    x, y = labelled(train_x, train_y, "train")
    held, wanted = labelled(val_x, val_y, "validate")
    low, high = float(y.min()), float(y.max())
    batch = {
        "x": torch.from_numpy(_cosines(x, encoder.dim)).float(),
        "y": torch.from_numpy((y - low) / (high - low)).float(),
    }
    held = _cosines(held, encoder.dim)

    def of_batch(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Numbers]:
        return LOSSES[loss](model(batch["x"]).sigmoid(), batch["y"]), {}

    def agreement(model: Any) -> float:
        margins = held @ model.direction().double().cpu().numpy()
        return float(rank_agreement(margins[:, None], wanted)[0])

    with torch.no_grad():
        before = agreement(prompt)
    best = Best(prompt, "validation", before, 0, None, {})
    settings = FitConfig(steps, learning_rate, precision=encoder.precision, seed=seed, evaluate_every=10)
    result = fit(
        prompt, lambda step: batch, of_batch, settings, evaluate={"validation": agreement}, log=best.offer,
        device=str(encoder.device), progress=None,
    )  # fmt: skip
    best.restore()
    with torch.no_grad():
        direction = prompt.direction().double().cpu().numpy()
    context, score = prompt.context.detach().cpu(), float(best.score or 0.0)
    return LearnedPrompt(context, direction, prompt.scale, low, high, best.step, score, result.history)


class Prompt(nn.Module):
    """Two sentences with one learned context, read by a frozen text tower; the context is the only parameter.

    Args:
        encoder, good, bad, length, seed: as in `learn_prompt`.
    """

    def __init__(self, encoder: Encoder, good: str, bad: str, length: int, seed: int = 0) -> None:
        super().__init__()
        encoder.encode_texts([good, bad])  # refuses what cannot be read
        assert encoder.logit_scale is not None  # there is a text tower
        # In tuples, so that they are no submodules: no weight of the encoder is trained, saved or put in train mode.
        self.encoder, self.table = encoder, (_word_embeddings(encoder),)
        self.scale = encoder.logit_scale
        tokens, self.start = _with_room(encoder, [good, bad], length)
        self.tokens = nn.Buffer(tokens, persistent=False)
        words = self.table[0].weight
        random = torch.Generator().manual_seed(seed)
        first = torch.randn(length, words.shape[1], generator=random) * float(words.float().std())
        self.context = nn.Parameter(first)
        self.to(encoder.device)

    def direction(self) -> Tensor:
        """Embedding of the good sentence less that of the bad one, each of length 1: float32 [D]."""
        after = self.start + len(self.context)

        def put(_module: nn.Module, _inputs: Any, rows: Tensor) -> Tensor:
            context = self.context.to(rows.dtype).expand(len(rows), -1, -1)
            return torch.cat([rows[:, : self.start], context, rows[:, after:]], dim=1)

        handle = self.table[0].register_forward_hook(put)
        try:
            with autocast(self.encoder.device, self.encoder.precision):
                rows = self.encoder.model.encode_text(self.tokens)  # type: ignore[operator]
        finally:
            handle.remove()
        good, bad = F.normalize(rows.float(), dim=-1)
        difference: Tensor = good - bad
        return difference

    def forward(self, x: Tensor) -> Tensor:
        """Log-odds of "good", float32 [B], of features [B, D]."""
        return self.scale * (x @ self.direction())


def _word_embeddings(encoder: Encoder) -> nn.Embedding:
    tower: Any = getattr(encoder.model, "text", encoder.model)
    table = getattr(tower, "token_embedding", None)
    if table is None and hasattr(getattr(tower, "transformer", None), "get_input_embeddings"):
        table = tower.transformer.get_input_embeddings()
    if not isinstance(table, nn.Embedding):
        raise EncoderError(
            f"the word embeddings of {encoder.name!r}, a {type(tower).__name__}, are not known; prompts can be "
            "learned for open_clip's text towers, sentences work for every encoder with one"
        )
    return table


def _with_room(encoder: Encoder, texts: list[str], length: int) -> tuple[Tensor, int]:
    """Tokens of sentences, `length` of them to be replaced, and the place of the first of these.

    What is replaced repeats the first token of the words, so that it is neither padding nor an end, which towers
    look for by number.
    """
    tokens = encoder.tokenizer(texts)
    special = getattr(encoder.tokenizer, "tokenizer", encoder.tokenizer).all_special_ids
    start = int(int(tokens[0, 0]) in special)  # most tokenizers begin a sentence with a token of its own
    rows = []
    for text, row in zip(texts, tokens, strict=True):
        end = token_count(encoder.tokenizer, text)
        room = len(row) - end
        if not 1 <= length <= room:
            raise RateError(
                f"length must be at least 1 and {end} tokens of {text!r} leave room for {max(room, 0)} of the "
                f"{len(row)} that {encoder.name!r} reads, got {length}"
            )
        rows.append(torch.cat([row[:start], row[start].expand(length), row[start:end], row[end + length :]]))
    return torch.stack(rows), start


def _cosines(features: np.ndarray, width: int) -> np.ndarray:
    """The features, if products with a sentence are cosines (or means of them)."""
    if features.ndim != 2 or features.shape[1] != width or (np.linalg.norm(features, axis=1) > 1.001).any():
        raise RateError(
            f"features must be [N, {width}] with rows no longer than 1, means of embeddings of length 1: use "
            f"features_of(encoder, pictures). Got {list(features.shape)}"
        )
    return features
