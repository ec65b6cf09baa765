"""A trained matcher in use: scores of pictures and sentences, boxes of phrases, and the folder it is kept in."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from percept.device import autocast
from percept.models.adapters import plain_encoder
from percept.models.encoders import Encoder, EncoderError
from percept.models.export import replaced_folder
from percept.models.matcher import Matcher, MatcherFacts, View, Words
from percept.models.preprocessing import Images, check_images
from percept.models.texts import check_texts
from percept.models.weights import make_fingerprint, read_weights
from percept.storage import write_json

FACTS_FILE, WEIGHTS_FILE = "percept_matcher.json", "matcher.safetensors"
FORMAT = 1
_PICTURES, _SENTENCES, _PAIRS = 64, 256, 256  # at once
# States and view of some pictures, and pairs of them with sentences -> one result per pair.
_Compute = Callable[[Tensor, View, Tensor, Words, Tensor], Tensor]


@dataclass(eq=False)
class Matched:
    """A matcher ready to score.

    Attributes:
        encoder: the two towers as they are now; its cosines are the plain dual encoder's.
        matcher: shares their weights.
        probability: its scores are probabilities of a match, as `percept.evaluation.probes` asks.
    """

    encoder: Encoder
    matcher: Matcher
    probability: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What a table calls it."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """Hex digest of the facts and of all present weights."""
        facts = dataclasses.asdict(self.matcher.facts)
        del facts["base"]  # how it was found on this machine; its fingerprint is what it is
        return make_fingerprint(facts, self.matcher.state_dict())

    def score(self, images: Images, texts: Sequence[str]) -> np.ndarray:
        """Probability that each text belongs to each picture: float64 [N, M], see `pairs`."""
        picture, sentence = np.divmod(np.arange(len(images) * len(texts)), len(texts))
        return self.pairs(images, texts, picture, sentence).reshape(len(images), len(texts))

    def pairs(self, images: Images, texts: Sequence[str], picture: Any, sentence: Any) -> np.ndarray:
        """Probability of a match for some pairs; every picture and every sentence is encoded once.

        It is computed in float64 from the logits, since in float32 all that are near 1 would tie.

        Args:
            images: N pictures as in `Encoder.encode_images`.
            texts: M sentences.
            picture: int [K], which picture of each pair.
            sentence: int [K], which sentence.

        Returns:
            float64 [K], 0..1.

        Raises:
            ValueError: Pictures or sentences that cannot be used, or an index outside them.
        """

        def compute(states: Tensor, view: View, rows: Tensor, words: Words, columns: Tensor) -> Tensor:
            return _probability(self.matcher.match_logits(view, rows, words, columns))

        return self._over_pairs(images, texts, picture, sentence, compute).numpy()

    def cosine(self, images: Images, texts: Sequence[str]) -> np.ndarray:
        """Cosines of the two towers alone: float32 [N, M]."""
        return (self.encoder.encode_images(images) @ self.encoder.encode_texts(texts).T).numpy()

    def locate(
        self, images: Images, texts: Sequence[str], picture: Any, sentence: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where in a picture a phrase is, and how well what is there matches it; arguments as in `pairs`.

        Returns:
            float64 boxes [K, 4], cxcywh in 0..1, and float64 [K], the probability of a match between the phrase and
            the region inside its box.
        """

        def compute(states: Tensor, view: View, rows: Tensor, words: Words, columns: Tensor) -> Tensor:
            boxes = self.matcher.boxes(view, rows, words, columns)
            inside = self.matcher.regions(states, rows, boxes)
            sure = self.matcher.match_logits(inside, torch.arange(len(rows), device=rows.device), words, columns)
            return torch.cat([boxes.double(), _probability(sure)[:, None]], dim=1)

        found = self._over_pairs(images, texts, picture, sentence, compute).numpy()
        return found[:, :4], found[:, 4]

    def relevance(self, images: Images, texts: Sequence[str], picture: Any, sentence: Any) -> np.ndarray:
        """Which patches speak for a match: Grad-CAM on cross-attention, as for ALBEF (Li et al. 2021).

        The weight with which a text token looks at a patch, times the gradient of the match with respect to it, where
        that is positive; mean over heads, sum over text tokens and blocks.

        Args:
            images, texts, picture, sentence: as in `pairs`.

        Returns:
            float64 [K, rows, columns] of the patch grid, at least 0.
        """
        matcher, grid = self.matcher, self.matcher.clip.visual.grid_size

        def compute(states: Tensor, view: View, rows: Tensor, words: Words, columns: Tensor) -> Tensor:
            trace: list[Tensor] = []
            with torch.enable_grad():
                leaf = words._replace(tokens=words.tokens.detach().requires_grad_())
                fused = matcher.fuse(view, rows, leaf, columns, trace)
                ends = words.ends[columns]
                logits = matcher.match(fused[torch.arange(len(ends), device=ends.device), ends])
                slopes = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), trace)
            found = sum((weight * slope).relu().mean(1).sum(1) for weight, slope in zip(trace, slopes, strict=True))
            return torch.as_tensor(found)[:, 1:].double().unflatten(1, grid).detach()

        return self._over_pairs(images, texts, picture, sentence, compute).numpy()

    def _over_pairs(
        self, images: Images, texts: Sequence[str], picture: Any, sentence: Any, compute: _Compute
    ) -> Tensor:
        pixels, sentences = check_images(images), check_texts(texts)
        first = _indices("picture", picture, len(pixels))
        second = _indices("sentence", sentence, len(sentences))
        if first.shape != second.shape or not len(first):
            raise ValueError(f"picture and sentence must be [K] with K at least 1, got {first.shape}, {second.shape}")
        self.matcher.eval()
        place, parts, order = self.encoder.device, [], []
        with torch.no_grad(), autocast(place, self.encoder.precision):
            words = self._read(sentences)
            for start in range(0, len(pixels), _PICTURES):
                mine = np.flatnonzero((first >= start) & (first < start + _PICTURES))
                if not len(mine):
                    continue
                part = torch.from_numpy(self.encoder.preprocess.pixels(pixels[start : start + _PICTURES]).copy())
                states = self.matcher.states(self.encoder.preprocess.scale(part.to(place)))
                view = self.matcher.whole(states)
                for some in np.array_split(mine, -(-len(mine) // _PAIRS)):
                    rows, columns = (torch.from_numpy(each[some]).to(place) for each in (first - start, second))
                    parts.append(compute(states, view, rows, words, columns).cpu())
                    order.append(some)
        done = torch.cat(parts)
        out = torch.empty_like(done)
        out[torch.from_numpy(np.concatenate(order))] = done
        return out

    def _read(self, sentences: list[str]) -> Words:
        tokens = torch.as_tensor(self.encoder.tokenizer(sentences)).to(self.encoder.device)
        read = [self.matcher.read(part) for part in tokens.split(_SENTENCES)]
        longest = max(each.tokens.shape[1] for each in read)
        states = [F.pad(each.tokens, (0, 0, 0, longest - each.tokens.shape[1])) for each in read]
        return Words(torch.cat(states), *(torch.cat(column) for column in list(zip(*read, strict=True))[1:]))


def matched(encoder: Encoder, matcher: Matcher) -> Matched:
    """Put a matcher to use; the encoder gives preprocessing and tokenizer, the matcher the weights, frozen now."""
    matcher.eval().requires_grad_(False)
    return Matched(plain_encoder(encoder, matcher.clip, f"{encoder.name} + matcher"), matcher)


def save_matched(model: Matched, folder: str | Path) -> Path:
    """Write a matcher with its encoder's trained weights as a folder: safetensors and JSON.

    The folder is made or replaced in one step; files of others in it are kept.
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in model.matcher.state_dict().items()}
    facts = dataclasses.asdict(model.matcher.facts) | {"format": FORMAT, "fingerprint": model.fingerprint}
    with replaced_folder(folder, {FACTS_FILE, WEIGHTS_FILE}) as work:
        save_file(tensors, str(work / WEIGHTS_FILE), metadata={"format": "pt"})
        write_json(work / FACTS_FILE, facts)
    return Path(folder)


def load_matched(encoder: Encoder, folder: str | Path) -> Matched:
    """Load what `save_matched` wrote.

    Args:
        encoder: The one the training began with; its fingerprint is checked, and it stays as it is.
        folder: The folder.

    Raises:
        EncoderError: If a file is missing or damaged, or the matcher belongs to another encoder.
        percept.models.weights.WeightsError: If the weights cannot be read.
    """
    place = Path(folder)
    facts, fingerprint = _read_facts(place / FACTS_FILE)
    if facts.base_fingerprint != encoder.fingerprint:
        raise EncoderError(
            f"the matcher in {place} belongs to the encoder {facts.base!r} with fingerprint "
            f"{facts.base_fingerprint[:12]}; {encoder.name!r} has {encoder.fingerprint[:12]}. "
            "Load the encoder that it was trained on, or train the matcher anew"
        )
    matcher = Matcher(copy.deepcopy(encoder.model), facts)
    try:
        matcher.load_state_dict(read_weights(place / WEIGHTS_FILE))
    except RuntimeError as error:
        raise EncoderError(f"{place / WEIGHTS_FILE} does not hold the matcher of {FACTS_FILE}: {error}") from error
    model = matched(encoder, matcher.to(encoder.device))
    if model.fingerprint != fingerprint:
        raise EncoderError(f"{place / WEIGHTS_FILE} is not the file that {FACTS_FILE} describes; save it again")
    return model


def _read_facts(file: Path) -> tuple[MatcherFacts, str]:
    if not file.is_file():
        raise EncoderError(f"{file.parent} holds no matcher: {file.name} is missing; save_matched writes it")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version, fingerprint = content.pop("format"), str(content.pop("fingerprint"))
        if version != FORMAT:
            raise ValueError(f"format {version!r}; this version of percept reads {FORMAT}")
        return MatcherFacts(**content), fingerprint
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderError(f"{file} does not describe a matcher: {error!r}") from error


def _probability(logits: Tensor) -> Tensor:
    wide = logits.double()
    return (wide[:, 1] - wide[:, 0]).sigmoid()


def _indices(name: str, values: Any, count: int) -> np.ndarray:
    found = np.asarray(values)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"{name} must be whole numbers [K], got {found.dtype} {found.shape}")
    if found.size and not 0 <= found.min() <= found.max() < count:
        raise ValueError(f"{name} must be 0..{count - 1}, got {found.min()}..{found.max()}")
    return found.astype(np.int64)
