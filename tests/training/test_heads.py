import numpy as np
import pytest
import torch
import torch.nn.functional as F

from percept.data.triplets import Triplets, shuffled_votes
from percept.training.heads import _Affine, _kept_pair, fit_glocal, fit_head, prepare
from percept.training.readout import _Diagonal, _diagonals, fit_readout
from percept.training.triplet_batches import AlignError, soft_score, triplet_distances

WIDTH = 12


def judgments(count, seed, distance, noise=30.0):
    """Triplets over `3 * count` random pictures whose votes follow `distance` between their features."""
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(3 * count, WIDTH)) + 1.5).float()
    items = np.arange(3 * count).reshape(-1, 3)
    a, b, c = features[torch.from_numpy(items.T)].unbind(0)
    apart = distance(a, b) - distance(a, c)
    votes = rng.binomial(6, torch.sigmoid(noise * apart / apart.std()).numpy()) / 6
    return features, Triplets(np.zeros((3 * count, 1, 1, 3), np.uint8), items, votes)


def diagonal(a, b):
    weights = torch.zeros(WIDTH)
    weights[:3] = torch.tensor([1.0, 3.0, 2.0])
    return ((F.normalize(a, dim=1) - F.normalize(b, dim=1)).square() * weights).sum(1)


def rotated(a, b):
    plane = torch.from_numpy(np.random.default_rng(5).normal(size=(WIDTH, 2))).float()
    a, b = (F.normalize(x, dim=1) @ plane for x in (a, b))
    return 1 - F.cosine_similarity(a, b, dim=1)


def score(features, triplets):
    votes = torch.from_numpy(triplets.vote_right)
    return soft_score(*triplet_distances(features, torch.from_numpy(triplets.items)), votes)


@pytest.fixture(scope="module")
def planted():
    return {
        name: [judgments(count, seed, distance) for seed, count in enumerate((400, 300, 600))]
        for name, distance in (("diagonal", diagonal), ("rotated", rotated))
    }


def test_a_planted_diagonal_metric_is_recovered(planted):
    (x, train), (v, validate), (t, test) = planted["diagonal"]
    head = fit_readout(x, train, v, validate)
    assert head.name == "diagonal"
    root = head.module.root.double()
    weights = (root / root.norm()).square()
    truth = torch.tensor([1.0, 3.0, 2.0]).double() / 6
    assert (weights[:3] - truth).abs().max() < 0.06
    assert weights[3:].sum() < 0.05
    assert score(head.transform(t), test) > score(t, test) + 0.2
    assert score(head.transform(v), validate) == pytest.approx(head.score)
    assert head.settings["strength"] == max(head.settings["scores"], key=head.settings["scores"].get)
    assert head.settings["forms"]["diagonal"] >= head.settings["forms"]["linear"]


def test_cosine_after_a_diagonal_read_out_ranks_as_its_metric():
    features = torch.randn(600, WIDTH, generator=torch.Generator().manual_seed(0)) + 1.5
    weights = torch.rand(WIDTH, generator=torch.Generator().manual_seed(1))
    rows = F.normalize(features, dim=1)
    small = _Diagonal(features, weights)(features)
    a, b = torch.arange(300), torch.arange(300, 600)
    wanted = ((rows[a] - rows[b]).square() * weights).sum(1)
    got = 1 - F.cosine_similarity(small[a].double(), small[b].double(), dim=1)
    ratio = got / wanted
    assert ratio.std() / ratio.mean() < 0.01


def test_a_weak_strength_departs_from_the_frozen_metric_and_a_strong_one_does_not(planted):
    (x, train), (v, validate), _ = planted["diagonal"]
    _, held = next(iter(_diagonals(prepare(x, train, "train"), (1e6,), 30)))
    assert held.root.std() < 1e-3 * held.root.mean()
    assert score(held(v), validate) == pytest.approx(score(v, validate), abs=0.005)


def test_where_judgments_hold_nothing_the_read_out_is_the_frozen_encoder(planted):
    (x, train), (v, validate), (t, _) = planted["diagonal"]
    found = [fit_readout(x, shuffled_votes(train, seed), v, shuffled_votes(validate, seed)) for seed in range(6)]
    assert any(head.name == "frozen" for head in found)
    frozen = next(head for head in found if head.name == "frozen")
    assert torch.equal(frozen.transform(t), t)


def test_only_a_matrix_reads_a_rotated_plane(planted):
    (x, train), (v, validate), (t, test) = planted["rotated"]
    head = fit_readout(x, train, v, validate)
    assert head.name == "linear"
    assert head.settings["forms"]["linear"] > head.settings["forms"]["diagonal"] + 0.05
    assert score(head.transform(t), test) > score(t, test) + 0.15


@pytest.mark.parametrize(
    ("fit", "more"), [(fit_head, {}), (fit_glocal, {"lambdas": (0.001,), "learning_rate": 0.02, "epochs": 100})]
)
def test_trained_heads_gain_on_held_out_pictures_and_repeat_themselves(planted, fit, more):
    (x, train), (v, validate), (t, test) = planted["diagonal"]
    options = {"epochs": 60, "learning_rate": 3e-3, "batch_size": 64} | more
    first, second = (fit(x, train, v, validate, **options) for _ in range(2))
    assert torch.equal(first.transform(t), second.transform(t))
    assert score(first.transform(t), test) > score(t, test) + 0.05
    history = first.settings["history"]
    assert first.score == max(history) == history[first.settings["epoch"]]
    assert score(first.transform(v), validate) == pytest.approx(first.score)


@pytest.mark.parametrize("fit", [fit_readout, fit_head, fit_glocal])
def test_shuffled_votes_bring_nothing(planted, fit):
    (x, train), (v, validate), (t, test) = planted["diagonal"]
    head = fit(x, shuffled_votes(train), v, validate)
    assert score(head.transform(t), test) < score(t, test) + 0.04


def test_an_untrained_head_is_the_frozen_encoder(planted):
    (x, train), (v, validate), _ = planted["diagonal"]
    head = fit_head(x, train, v, validate, epochs=1, learning_rate=1e-12)
    assert head.score == pytest.approx(score(v, validate))
    assert head.settings["history"][0] == pytest.approx(score(v, validate))


def test_the_glocal_terms_are_those_of_the_paper():
    features, triplets = judgments(4, 3, diagonal)
    votes = np.array([0.0, 1.0, 0.25, 0.75])
    triplets = Triplets(triplets.images, triplets.items, votes)
    module = _Affine(features)
    with torch.no_grad():
        module.weight += 0.1 * torch.randn(WIDTH, WIDTH)
        module.bias += 0.2
    matrix = module.weight.detach().numpy()
    whitened = (features.numpy() - features.numpy().mean()) / features.numpy().std(ddof=1)
    y = whitened @ matrix + 0.2
    losses = []
    for (ref, left, right), vote in zip(triplets.items, votes, strict=True):
        kept, odd = (right, left) if vote > 0.5 else (left, right)
        logits = np.array([y[ref] @ y[kept], y[ref] @ y[odd], y[kept] @ y[odd]], np.float64)
        losses.append(np.log(np.exp(logits - logits[0]).sum()))
    got = _kept_pair(module, prepare(features, triplets, "train"), torch.arange(4))
    assert got.item() == pytest.approx(np.mean(losses), rel=1e-4)
    nearest = np.diag(matrix).mean() * np.eye(WIDTH)
    assert module.departure().item() == pytest.approx(((matrix - nearest) ** 2).sum(), rel=1e-4)


def test_features_that_do_not_fit_are_named(planted):
    (x, train), (v, validate), _ = planted["diagonal"]
    with pytest.raises(AlignError, match=r"features of train must be \[1200, D\].* got \[7, 12\]"):
        fit_readout(x[:7], train, v, validate)
    broken = v.clone()
    broken[3, 2] = torch.nan
    with pytest.raises(AlignError, match="features of validate are not finite in 1 rows"):
        fit_head(x, train, broken, validate)
    with pytest.raises(AlignError, match="train holds no triplets"):
        fit_glocal(x, train.select([]), v, validate)
