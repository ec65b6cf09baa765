import pytest
import torch

from percept.training.gradients import plain, two_pass
from percept.training.process import make_accelerator


def largest_difference(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


@pytest.fixture(scope="module")
def over_two_ranks(towers, script, finish, tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks")
    finish(script("towers", out, processes=2))
    return [torch.load(out / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", ["clip-1", "clip-2", "siglip-1", "siglip-2"])
def test_two_ranks_give_the_gradient_of_one_process(towers, over_two_ranks, case, record_property):
    loss = case.split("-")[0]
    accelerator, _ = make_accelerator("cpu")
    model = towers.towers()
    whole = towers.gradients(model, accelerator, model, loss, towers.data(), 1)
    assert max(value.abs().max().item() for value in whole.values()) > 0.01
    error = max(largest_difference(rank[case], whole) for rank in over_two_ranks)
    record_property("largest_difference", error)
    assert error < 1e-12  # float64; the aim is 1e-6


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("parts", [2, 4, 16])
def test_a_batch_and_its_parts_have_the_same_gradient(towers, loss, parts):
    accelerator, _ = make_accelerator("cpu")
    model = towers.towers()
    found = [towers.gradients(model, accelerator, model, loss, towers.data(), k) for k in (1, parts)]
    assert largest_difference(*found) < 1e-13


def test_parts_of_unequal_size_are_exact_too(towers):
    accelerator, _ = make_accelerator("cpu")
    found = []
    for size in (16, 5):
        model = towers.towers()
        towers.step("siglip", size)(accelerator, model, towers.data())
        found.append({name: value.grad for name, value in model.named_parameters()})
    assert largest_difference(*found) < 1e-13


def test_micro_batch_negatives_alone_would_be_wrong(towers):
    """What accelerate's own accumulation would do; the test above would fail with it."""
    accelerator, _ = make_accelerator("cpu")
    model = towers.towers()
    whole = towers.gradients(model, accelerator, model, "clip", towers.data(), 1)
    model.zero_grad()
    for part in zip(*(each.split(4) for each in towers.data()), strict=True):
        towers.step("clip", 4)(accelerator, model, part)
    accumulated = {name: value.grad / 4 for name, value in model.named_parameters()}
    whole.pop("loss")
    assert largest_difference(accumulated, whole) > 1e-3


def test_dropout_makes_the_same_choices_in_both_passes(towers):
    """With the masks of the first pass known, the gradient is that of one graph over all parts."""
    accelerator, _ = make_accelerator("cpu")
    model, batch = towers.towers(dropout=0.5), towers.data()
    parts = list(zip(*(each.split(4) for each in batch), strict=True))
    torch.manual_seed(3)
    outputs = [model(*part) for part in parts]
    image, text = (torch.cat([output[column] for output in outputs]) for column in (0, 1))
    value = towers.siglip_loss(image, text, *outputs[0][2:])
    names = [name for name, _ in model.named_parameters()]
    expected = dict(zip(names, torch.autograd.grad(value, list(model.parameters())), strict=True))
    torch.manual_seed(3)
    towers.step("siglip", 4)(accelerator, model, batch)
    found = {name: value.grad for name, value in model.named_parameters()}
    assert largest_difference(found, expected) < 1e-13


def test_random_state_after_a_step_does_not_depend_on_the_split(towers):
    accelerator, _ = make_accelerator("cpu")
    after = []
    for size in (16, 4):
        torch.manual_seed(3)
        towers.step("clip", size)(accelerator, towers.towers(), towers.data())
        after.append(torch.rand(3))
    assert torch.equal(*after)


def test_bf16_passes_share_no_stale_copies_of_weights(tiny):
    """Autocast keeps cast weights; copies made without a graph must not serve the pass that needs one."""
    accelerator, _ = make_accelerator("cpu", "bf16")
    found = []
    for size in (32, 8):
        model = tiny.model()
        wrapped = accelerator.prepare(model)
        images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        batch = [images, tiny.tokenizer(tiny.CAPTIONS[:32])]
        split = lambda batch, size=size: list(zip(*(each.split(size) for each in batch), strict=True))  # noqa: E731
        two_pass(lambda model, part: model(*part), tiny.clip_loss, split)(accelerator, wrapped, batch)
        found.append(torch.cat([value.grad.flatten() for value in model.parameters()]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.999


def test_plain_step_takes_parts_of_a_mean_loss():
    accelerator, _ = make_accelerator("cpu")
    items, found = torch.randn(8, 3), []
    for batch in (items, list(items.split(2))):
        model = torch.nn.Linear(3, 1)
        torch.nn.init.ones_(model.weight)
        torch.nn.init.zeros_(model.bias)
        value, numbers = plain(lambda model, batch: ((model(batch) ** 2).mean(), {"n": len(batch)}))(
            accelerator, model, batch
        )
        found.append((value, model.weight.grad))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])
    assert numbers == {"n": 2}
