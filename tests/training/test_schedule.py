import math
from itertools import pairwise

import pytest
from torch import nn

from percept.training.schedule import decay_groups, warmup_cosine


def test_warmup_rises_in_equal_parts_and_the_cosine_falls_to_zero():
    factors = [warmup_cosine(step, 100, warmup=10) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)  # half way
    assert factors[99] == pytest.approx(0.5 * (1 + math.cos(math.pi * 89 / 90)))
    assert all(later < earlier for earlier, later in pairwise(factors[10:]))


def test_a_warmup_as_long_as_the_run_and_no_warmup_are_defined():
    assert [warmup_cosine(step, 3, warmup=3) for step in range(3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert warmup_cosine(0, 1) == 1.0


def test_gains_biases_and_named_parameters_are_not_decayed():
    model = nn.ModuleDict({"a": nn.Linear(3, 4), "norm": nn.LayerNorm(4), "table": nn.Embedding(5, 2)})
    model["frozen"] = nn.Linear(2, 2).requires_grad_(False)
    groups, free = decay_groups(model, 0.2, exempt=["table"])
    assert free == ["a.bias", "norm.weight", "norm.bias", "table.weight"]
    assert [group["weight_decay"] for group in groups] == [0.2, 0.0]
    assert [len(group["params"]) for group in groups] == [1, 4]
    assert groups[0]["params"][0] is model["a"].weight


def test_an_exemption_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match="no trainable parameter has"):
        decay_groups(nn.Linear(2, 2), 0.1, exempt=["tabel"])
