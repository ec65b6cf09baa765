"""What frozen features can give by themselves: baselines for alignment that never touch the encoder.

All read features that are computed once, all choose their regularisation on validation triplets, and the
distances they train are cosine distances between what their `transform` returns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from percept.data.triplets import Triplets
from percept.losses.triplets import glocal_triplet_loss, local_similarity_loss, triplet_hinge_loss
from percept.training.triplet_batches import AlignError, check_train, epoch_rows, soft_score, triplet_distances


@dataclass(frozen=True, eq=False)
class Head:
    """A map of frozen features whose cosine distances agree better with people.

    Attributes:
        name: "diagonal" or "linear" (`percept.training.readout`), "head" or "glocal".
        module: the map, [N, D] -> [N, E].
        score: 2AFC score on the validation triplets, ties half.
        settings: what was chosen on validation, and what was compared.
    """

    name: str
    module: nn.Module
    score: float
    settings: dict[str, Any]

    def transform(self, features: Any) -> Tensor:
        """Map features: [N, D] of the kind it was fitted on -> float32 [N, E] on the CPU."""
        with torch.no_grad():
            out: Tensor = self.module(torch.as_tensor(features, dtype=torch.float32))
        return out


@dataclass(frozen=True, eq=False)
class Data:
    """What heads are fitted to: features float32 [N, D] of pictures, items int64 [T, 3], votes float32 [T]."""

    features: Tensor
    items: Tensor
    votes: Tensor

    def score(self, module: nn.Module) -> float:
        """2AFC score of cosine distances after a map, ties half."""
        with torch.no_grad():
            return soft_score(*triplet_distances(module(self.features), self.items), self.votes)


def fit_head(
    features: Any, train: Triplets, validation_features: Any, validate: Triplets, *, hidden: int = 512,
    margin: float = 0.05, learning_rate: float = 3e-4, batch_size: int = 512, epochs: int = 60, patience: int = 15,
    seed: int = 0,
) -> Head:  # fmt: skip
    """Residual two-layer head on frozen features, x + B relu(A x): DreamSim's "MLP head" variant.

    Hinge loss on cosine distance, Adam with betas (0.5, 0.999). Apart from the reference, triplets with an even vote
    are left out, features are scaled to unit deviation by one number, B starts at zero (so that epoch 0 is the frozen
    encoder), and the number of epochs is chosen on validation instead of being 20.

    Args:
        features, train, validation_features, validate: as in `percept.training.readout.fit_readout`.
        hidden: units of the hidden layer.
        margin: of the hinge.
        learning_rate: of Adam, constant.
        batch_size: triplets.
        epochs: at most.
        patience: epochs without a better validation score after which to end.
        seed: of weights and order.
    """
    fit_to, check_on = (
        prepare(features, train, "train", decided=True),
        prepare(validation_features, validate, "validate"),
    )
    module = _seeded(seed, lambda: _Residual(fit_to.features, hidden))

    def loss(module: nn.Module, rows: Tensor, epoch: int) -> Tensor:
        used, items = fit_to.items[rows].unique(return_inverse=True)
        distances = triplet_distances(module(fit_to.features[used]), items)
        return triplet_hinge_loss(*distances, fit_to.votes[rows], margin)

    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate, betas=(0.5, 0.999))
    best = _epochs(module, optimizer, loss, check_on, len(fit_to.items), batch_size, epochs, 0, patience, seed)
    return Head("head", module, best["score"], best)


def fit_glocal(
    features: Any, train: Triplets, validation_features: Any, validate: Triplets, *, alpha: float = 0.1,
    lambdas: Sequence[float] = (0.1,), temperature: float = 1.0, learning_rate: float = 1e-3, batch_size: int = 256,
    local_features: Any = None, local_batch: int = 256, epochs: int = 100, patience: int = 15, seed: int = 0,
) -> Head:  # fmt: skip
    """Affine map ((x - m) / s) W + b of frozen features, trained as gLocal (Muttenthaler et al. 2023).

    (1 - alpha) times the triplet cross-entropy, plus alpha times the local-similarity loss to the frozen
    features, plus lambda ||W - mean(diag W) I||^2. m and s are one number each; Adam, a
    linear fall of the rate over the epochs, gradient norm 1, at least 20 epochs. The odd one of a triplet is
    the candidate that fewer votes chose: the pair to keep is the reference with the other one. Triplets with an
    even vote are left out. Apart from the reference, W starts at I (at its 0.001 I, the first steps of Adam drown the
    diagonal, and the map needs hundreds of epochs to come back), epochs are chosen by the 2AFC score, and the local
    batch is 256, not 1024 ImageNet pictures.

    Args:
        features, train, validation_features, validate: as in `percept.training.readout.fit_readout`.
        alpha: weight of the local loss.
        lambdas: weights of the departure from a multiple of the identity; the best on validation is taken.
        temperature: of the local loss.
        learning_rate: at the start.
        batch_size: triplets.
        local_features: [L, D] of pictures whose neighbourhood is kept; those of `train` unless given.
        local_batch: of them per step, at least 3.
        epochs: at most.
        patience: epochs without a better validation score after which to end.
        seed: of the order.
    """
    fit_to, check_on = (
        prepare(features, train, "train", decided=True),
        prepare(validation_features, validate, "validate"),
    )
    local = fit_to.features if local_features is None else torch.as_tensor(local_features, dtype=torch.float32)
    heads = []
    for weight in lambdas:
        module = _Affine(fit_to.features)
        optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
        draw = torch.Generator().manual_seed(seed)

        def loss(module: nn.Module, rows: Tensor, epoch: int, weight: float = weight, draw: Any = draw) -> Tensor:
            for group in optimizer.param_groups:  # noqa: B023 - called within this turn
                group["lr"] = learning_rate * (1 - epoch / epochs)
            some = local[torch.randperm(len(local), generator=draw)[:local_batch]]
            near = local_similarity_loss(some, module(some), temperature)
            return (1 - alpha) * _kept_pair(module, fit_to, rows) + alpha * near + weight * module.departure()  # type: ignore[operator]

        count = len(fit_to.items)
        best = _epochs(module, optimizer, loss, check_on, count, batch_size, epochs, 20, patience, seed, clip=1.0)
        heads.append(Head("glocal", module, best["score"], best | {"lambda": weight, "alpha": alpha}))
    return max(heads, key=lambda head: head.score)


class _Residual(nn.Module):
    def __init__(self, features: Tensor, hidden: int) -> None:
        super().__init__()
        width = features.shape[1]
        self.scale = nn.Buffer(1 / features.std().clamp(min=1e-12))
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.scale
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class _Affine(nn.Module):
    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.mean, self.std = nn.Buffer(features.mean()), nn.Buffer(features.std().clamp(min=1e-12))
        self.weight = nn.Parameter(torch.eye(features.shape[1]))
        self.bias = nn.Parameter(torch.zeros(features.shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, (x - self.mean) / self.std, self.weight)

    def departure(self) -> Tensor:
        """Squared distance of W from the nearest multiple of the identity."""
        diagonal = self.weight.diagonal()
        return self.weight.square().sum() - len(diagonal) * diagonal.mean().square()


def _kept_pair(module: nn.Module, data: Data, rows: Tensor) -> Tensor:
    """Odd-one-out loss of triplets, the odd one being the candidate that was not chosen."""
    used, items = data.items[rows].unique(return_inverse=True)
    reference, left, right = module(data.features[used])[items.T].unbind(0)
    chosen = (data.votes[rows] > 0.5)[:, None]
    return glocal_triplet_loss(reference, torch.where(chosen, right, left), torch.where(chosen, left, right))


def _epochs(
    module: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[nn.Module, Tensor, int], Tensor],
    check_on: Data, count: int, batch_size: int, epochs: int, least: int, patience: int, seed: int, clip: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """Train, and leave the module as it was after the epoch with the best validation score (0: untrained)."""
    best = {"epoch": 0, "score": check_on.score(module)}
    state, history = copy.deepcopy(module.state_dict()), [best["score"]]
    rows, per_epoch = epoch_rows(count, batch_size, seed), -(-count // batch_size)
    for epoch in range(epochs):
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            optimizer.zero_grad(set_to_none=True)
            loss(module, torch.from_numpy(rows(step)), epoch).backward()
            if clip:
                nn.utils.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
        history.append(check_on.score(module))
        if history[-1] > best["score"]:
            best, state = {"epoch": epoch + 1, "score": history[-1]}, copy.deepcopy(module.state_dict())
        if epoch + 1 >= max(least, best["epoch"] + patience):
            break
    module.load_state_dict(state)
    return best | {"history": history}


def prepare(features: Any, triplets: Triplets, name: str, decided: bool = False) -> Data:
    """Check features and judgments, or raise `AlignError`; with `decided`, leave out even votes."""
    check_train(triplets, name)
    triplets = triplets.decided() if decided else triplets
    matrix = torch.as_tensor(features, dtype=torch.float32)
    if matrix.ndim != 2 or len(matrix) != len(triplets.images):
        raise AlignError(
            f"features of {name} must be [{len(triplets.images)}, D], a row for each of its pictures, got "
            f"{list(matrix.shape)}"
        )
    if bad := int((~torch.isfinite(matrix).all(1)).sum()):
        raise AlignError(f"features of {name} are not finite in {bad} rows; compute them again")
    return Data(matrix, torch.from_numpy(triplets.items), torch.from_numpy(triplets.vote_right).float())


def _seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
