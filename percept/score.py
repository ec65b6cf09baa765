"""A score to use and to keep: encoder, head, the map to the user's scale, and what the model does not know.

`percept score FOLDER --model M` writes a table of scores with intervals. A stored model is a folder: `score.json`
(scale, label range and direction, preprocessing, limits), `head.safetensors`, and `adapter/` or `encoder/` for a tower
that was trained.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from percept.data.scanning import inside, scan_folder
from percept.evaluation.calibration import Scale, fit_scale
from percept.models.adapters import AdaptedEncoder
from percept.models.encoders import Encoder, load_encoder
from percept.models.export import replaced_folder
from percept.models.heads import MLPHead
from percept.models.saving import load_adapter, save_adapter, save_encoder
from percept.models.weights import read_weights
from percept.storage import write_atomic, write_json
from percept.training.rate import RateConfig, Rated
from percept.training.scorer import OF_SHARES

if TYPE_CHECKING:
    import pandas

FACTS, WEIGHTS = "score.json", "head.safetensors"
FORMAT = 1
_UNUSUAL = 0.99  # share of calibration pictures that count as like the training data


class ScoreError(ValueError):
    """A score model cannot be made, read or used as asked, with the way out."""


@dataclass(frozen=True, eq=False)
class Familiar:
    """How far features lie from those of the training pictures (Mahalanobis distance, shrunk covariance).

    Attributes:
        mean: float32 [D].
        whitening: float32 [D, D]; the distance is the length of ``(x - mean) @ whitening``.
        limit: distance that 99 % of the calibration pictures stay below.
    """

    mean: Tensor
    whitening: Tensor
    limit: float

    def distances(self, features: Tensor) -> np.ndarray:
        """Distance of each row of [N, D], float64 [N]."""
        return ((features - self.mean) @ self.whitening).norm(dim=1).double().numpy()


@dataclass(frozen=True, eq=False)
class ScoreModel:
    """A trained score on the user's scale.

    Attributes:
        rated: encoder and head.
        scale: from raw output to label, with its interval.
        familiar: what the training pictures looked like to the encoder.
        label: what the score says, such as "quality".
        higher_is_better: direction of the label.
        limits: what the model was trained on and is not meant for, in a sentence or two.
    """

    rated: Rated
    scale: Scale
    familiar: Familiar
    label: str
    higher_is_better: bool
    limits: str

    def predict(self, source: Any, batch_size: int = 64) -> pandas.DataFrame:
        """Score pictures.

        Args:
            source: a folder (searched with its subfolders; broken files become rows with a warning and no score), or
                pictures as in `percept.data.views.Views`.
            batch_size: views per forward pass; the scores do not depend on it.

        Returns:
            DataFrame: file (of a folder: its path inside), score, low, high (interval), unfamiliar (distance from the
            training pictures, 1 = the limit), warning (empty, "unlike the training pictures", or why there is no
            score).
        """
        import pandas

        problems: list[tuple[str, str]] = []
        pictures = source
        if isinstance(source, str | Path):
            scan = scan_folder(source)
            pictures, names = scan.paths, [inside(path, scan.folder) for path in scan.paths]
            problems = [(inside(path, scan.folder), reason) for path, reason in scan.problems]
            if not pictures:
                raise ScoreError(f"{source}: no usable image" + (f" ({': '.join(problems[0])})" if problems else ""))
        else:
            names = [str(row) for row in range(len(source))]
        raw, features = self.rated.read(pictures, batch_size)
        low, high = self.scale.interval(raw)
        far = self.familiar.distances(features) / self.familiar.limit
        warning = np.where(far > 1, "unlike the training pictures", "")
        table = {"file": names, "score": self.scale.predict(raw), "low": low, "high": high, "unfamiliar": far}
        found = pandas.DataFrame(table | {"warning": warning})
        lost = pandas.DataFrame(problems, columns=["file", "warning"])
        return pandas.concat([found, lost], ignore_index=True) if problems else found


def score_model(
    rated: Rated, train: Any, calibration: tuple[Any, Any], *, low: float, high: float, label: str = "score",
    higher_is_better: bool = True, limits: str = "", kind: str = "isotonic", coverage: float = 0.9, seed: int = 0,
) -> ScoreModel:  # fmt: skip
    """Calibrate a trained score on labelled pictures that it has not seen.

    Args:
        rated: from `percept.training.rate.rate`, of a score and not of shares.
        train: its training pictures; what is far from them is warned about.
        calibration: pictures and labels, at least 8; half fix the map to the scale, the others the interval.
        low, high: label range.
        label, higher_is_better, limits: see `ScoreModel`.
        kind: of the map, "isotonic" or "logistic4".
        coverage: of the interval.
        seed: of the halves.

    Raises:
        ScoreError: shares, or too few calibration pictures.
        ValueError: labels outside low..high, as `fit_scale` says.
    """
    if rated.config.loss in OF_SHARES:
        raise ScoreError(f"loss {rated.config.loss!r} predicts shares of classes; a score model needs one score")
    pictures, labels = calibration
    if len(labels) < 8 or len(labels) != len(pictures):
        raise ScoreError(f"calibration needs at least 8 pictures and a label for each, got {len(labels)} labels")
    raw, features = rated.read(pictures)
    order = np.random.default_rng(seed).permutation(len(raw))
    fit, rest = order[: len(raw) // 2], order[len(raw) // 2 :]
    targets = np.asarray(labels, np.float64)
    scale = fit_scale(raw[fit], targets[fit], low, high, kind).with_interval(raw[rest], targets[rest], coverage)
    known = _familiar(rated.read(train)[1], features)
    return ScoreModel(rated, scale, known, label, higher_is_better, limits)


def _familiar(train: Tensor, held_out: Tensor) -> Familiar:
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(train.double().numpy())
    values, vectors = np.linalg.eigh(fitted.covariance_)
    whitening = vectors / np.sqrt(np.maximum(values, 1e-12))
    known = Familiar(torch.from_numpy(fitted.location_).float(), torch.from_numpy(whitening).float(), 1.0)
    limit = float(np.quantile(known.distances(held_out), _UNUSUAL))
    return Familiar(known.mean, known.whitening, max(limit, 1e-12))


def save_score_model(model: ScoreModel, folder: str | Path) -> Path:
    """Write a score model as a folder that `load_score_model` and `percept score` read.

    Args:
        model: the model. An adapter is stored as a PEFT folder, a fine-tuned tower whole, a frozen one by its name.
        folder: made or replaced in one step; files of others in it are kept.
    """
    from safetensors.torch import save_file

    rated, encoder = model.rated, model.rated.encoder
    method = rated.config.method
    base = encoder.facts.base if isinstance(encoder, AdaptedEncoder) else encoder.name
    facts = {
        "format": FORMAT, "label": model.label, "low": model.scale.low, "high": model.scale.high,
        "higher_is_better": model.higher_is_better, "limits": model.limits, "scale": model.scale.to_dict(),
        "config": asdict(rated.config), "centre": rated.centre, "unit": rated.unit, "outputs": 1,
        "width": len(model.familiar.mean), "familiar_limit": model.familiar.limit, "base": base,
        "image_size": encoder.image_size, "fingerprint": encoder.fingerprint,
        "preprocessing": encoder.preprocess.settings,
    }  # fmt: skip
    tensors = {f"head.{name}": value for name, value in rated.head.state_dict().items()}
    tensors |= {"familiar.mean": model.familiar.mean, "familiar.whitening": model.familiar.whitening}
    with replaced_folder(folder, {FACTS, WEIGHTS, "adapter", "encoder"}) as work:
        if method == "lora":
            assert isinstance(encoder, AdaptedEncoder)
            save_adapter(encoder, work / "adapter")
        elif method == "full":
            save_encoder(encoder, work / "encoder")
        save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, str(work / WEIGHTS))
        write_json(work / FACTS, facts)
    return Path(folder)


def load_score_model(folder: str | Path, encoder: Encoder | None = None, device: str = "auto") -> ScoreModel:
    """Read a stored score model.

    Args:
        folder: of `save_score_model`.
        encoder: the base encoder, where its name alone does not find it (weights files, other folders).
        device: as in `load_encoder`.

    Raises:
        ScoreError: no score model, or one of another encoder.
    """
    place = Path(folder)
    facts = _facts(place)
    if (place / "encoder").is_dir():
        tower = load_encoder(place / "encoder", device=device)
    else:
        base = encoder or load_encoder(facts["base"], device=device, image_size=_resized(facts))
        tower = load_adapter(base, place / "adapter") if (place / "adapter").is_dir() else base
    if tower.fingerprint != facts["fingerprint"]:
        raise ScoreError(
            f"{place} was trained on {facts['base']!r} with fingerprint {facts['fingerprint'][:12]}; the encoder here "
            f"has {tower.fingerprint[:12]}. Pass the encoder that it was trained on"
        )
    config = RateConfig(**facts["config"] | {"hidden": tuple(facts["config"]["hidden"])})
    head = MLPHead(facts["width"], 1, config.hidden, config.head_dropout, config.normalise)
    tensors = read_weights(place / WEIGHTS)
    head.load_state_dict({name.removeprefix("head."): value for name, value in tensors.items() if "head." in name})
    known = Familiar(tensors["familiar.mean"], tensors["familiar.whitening"], facts["familiar_limit"])
    rated = Rated(
        tower, head.eval().requires_grad_(False), config, facts["centre"], facts["unit"], [], 0, None, 0.0, ""
    )
    return ScoreModel(
        rated, Scale.from_dict(facts["scale"]), known, facts["label"], facts["higher_is_better"], facts["limits"]
    )


def _facts(place: Path) -> dict[str, Any]:
    for needed in (FACTS, WEIGHTS):
        if not (place / needed).is_file():
            raise ScoreError(f"{place} is no score model: {needed} is missing; notebook 05 makes one")
    try:
        facts: dict[str, Any] = json.loads((place / FACTS).read_text("utf-8"))
        version = facts["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ScoreError(f"{place / FACTS} does not describe a score model: {error!r}") from error
    if version != FORMAT:
        raise ScoreError(f"{place / FACTS} has format {version!r}; this version of percept reads {FORMAT}")
    return facts


def _resized(facts: dict[str, Any]) -> int | None:
    """The size to ask for: conv nets read any, other encoders have one and refuse the question."""
    conv = facts["base"] == "efficientnet-lite0"
    return int(facts["image_size"]) if conv else None


def score_folder(
    folder: str | Path, model: str | Path, output: str | Path | None = None, *, device: str = "auto",
    batch_size: int = 64,
) -> Path:  # fmt: skip
    """Score every image below a folder and write the table as CSV; what `percept score` does.

    Args:
        folder: of images.
        model: folder of a score model.
        output: the CSV; ``FOLDER-scores.csv`` beside the folder unless given.
        device: as in `load_encoder`.
        batch_size: views per forward pass.
    """
    loaded = load_score_model(model, device=device)
    table = loaded.predict(folder, batch_size)
    place = Path(folder).resolve()
    target = place.with_name(f"{place.name}-scores.csv") if output is None else Path(output)
    return write_atomic(target, table.to_csv(index=False, float_format="%.4f"))
