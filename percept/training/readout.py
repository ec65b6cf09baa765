"""The best linear read-out of frozen features: what alignment must beat to have changed the encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor, nn

from percept.data.triplets import Triplets
from percept.training.heads import Data, Head, prepare
from percept.training.triplet_batches import triplet_distances

STRENGTHS = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
_PATIENCE = 2
_SMALL = 0.1  # length of a diagonal read-out's rows beside their constant column

_Fits = Iterator[tuple[float, nn.Module]]


def fit_readout(
    features: Any, train: Triplets, validation_features: Any, validate: Triplets,
    strengths: Sequence[float] = STRENGTHS, forms: Sequence[str] = ("diagonal", "linear"), max_iterations: int = 30,
) -> Head:  # fmt: skip
    """Best linear read-out of frozen features: the best on the validation triplets of two metrics, and of none.

    Both put P(right) = sigmoid(d_left - d_right) and minimise the cross-entropy with the soft votes plus
    `strength` times the mean squared departure from the metric of the frozen features.

    "diagonal": d = sum of w (a - b)^2 over unit-normalised features, w >= 0; convex, solved exactly. Its
    `transform` gives centred, weighted features that are small beside a constant column, so that cosine
    distances between them rank as d does (to about 1 %).
    "frozen": the features as they are, where neither agrees better.
    "linear": d = s times the cosine distance after a D x D matrix, started at the identity; s is learned.

    Args:
        features: [N, D], row i for picture i of `train`.
        train: judgments to fit.
        validation_features: [M, D], row i for picture i of `validate`.
        validate: judgments that choose form and strength.
        strengths: compared, from the strongest to the weakest; each starts where the one before ended, and two
            in a row with a score below the best are the last.
        forms: compared.
        max_iterations: of L-BFGS for each strength of the linear form.

    Raises:
        AlignError: nothing to learn from, or features that do not fit the pictures or are not finite.
    """
    fit_to, check_on = prepare(features, train, "train"), prepare(validation_features, validate, "validate")
    fitters = {"diagonal": _diagonals, "linear": _linears}
    heads = [Head("frozen", nn.Identity(), check_on.score(nn.Identity()), {"form": "frozen", "strength": math.inf})]
    for form in forms:
        modules: dict[float, nn.Module] = {}
        scores: dict[float, float] = {}
        best = max(strengths)
        for strength, module in fitters[form](fit_to, sorted(strengths, reverse=True), max_iterations):
            modules[strength], scores[strength] = module, check_on.score(module)
            best = max(scores, key=lambda each: (scores[each], each))
            if all(score < scores[best] for score in list(scores.values())[-_PATIENCE:]):
                break
        settings = {"form": form, "strength": best, "scores": scores}
        heads.append(Head(form, modules[best], scores[best], settings))
    chosen = max(heads, key=lambda head: head.score)
    chosen.settings["forms"] = {head.name: head.score for head in heads}
    return chosen


class _Diagonal(nn.Module):
    def __init__(self, features: Tensor, weights: Tensor) -> None:
        super().__init__()
        rows = F.normalize(features, dim=1)
        root = weights.clamp(min=0).sqrt()
        self.center = nn.Buffer(rows.mean(0))
        spread = ((rows - self.center) * root).square().sum(1).mean().sqrt()
        self.root = nn.Buffer(root * (_SMALL / spread.clamp(min=1e-12)))

    def forward(self, x: Tensor) -> Tensor:
        small = (F.normalize(x, dim=1) - self.center) * self.root
        # For (e, 1) with small e, 1 - cosine is half the squared distance of the e, to fourth order.
        return torch.cat([small, torch.ones(len(x), 1)], dim=1)


class _Linear(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Buffer(weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) @ self.weight


def _diagonals(data: Data, strengths: Sequence[float], max_iterations: int) -> _Fits:
    rows = F.normalize(data.features, dim=1)
    reference, left, right = rows[data.items.T].unbind(0)
    apart = ((reference - left).square() - (reference - right).square()).double().numpy()
    apart /= max(float(apart.sum(1).std()), 1e-12)
    votes = data.votes.double().numpy()

    def objective(w: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        logit, centred = apart @ w, w - w.mean()
        value = np.mean(np.logaddexp(0, logit) - votes * logit) + strength * np.mean(centred**2)
        slope = apart.T @ (1 / (1 + np.exp(-logit)) - votes) / len(votes)
        return float(value), slope + 2 * strength * centred / len(w)

    w = np.ones(apart.shape[1])
    for strength in strengths:
        w = minimize(
            objective, w, (strength,), "L-BFGS-B", jac=True, bounds=[(0, None)] * len(w), options={"maxiter": 500}
        ).x
        yield strength, _Diagonal(data.features, torch.from_numpy(w).float())


def _linears(data: Data, strengths: Sequence[float], max_iterations: int) -> _Fits:
    used, items = data.items.unique(return_inverse=True)
    rows = F.normalize(data.features[used], dim=1)
    width = rows.shape[1]
    eye = torch.eye(width)
    left, right = triplet_distances(rows, items)
    start = float((left - right).std().clamp(min=1e-6).reciprocal().log())

    def objective(flat: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        vector = torch.from_numpy(flat).float().requires_grad_()
        weight, scale = vector[1:].view(width, width), vector[0].exp()
        left, right = triplet_distances(rows @ weight, items)
        value = F.binary_cross_entropy_with_logits(scale * (left - right), data.votes)
        value = value + strength * (weight - eye).square().sum() / width
        value.backward()
        assert vector.grad is not None
        return value.item(), vector.grad.double().numpy()

    flat = np.concatenate([[start], eye.flatten().double().numpy()])
    for strength in strengths:
        flat = minimize(
            objective, flat, (strength,), "L-BFGS-B", jac=True, options={"maxiter": max_iterations, "ftol": 1e-6}
        ).x
        yield strength, _Linear(torch.from_numpy(flat[1:]).float().view(width, width))
