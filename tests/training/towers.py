"""A small pair of float64 towers, and a script that writes their gradients over several processes.

Run as `python towers.py OUT` with the variables that `accelerate launch` sets, or imported by tests.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from percept.losses.contrastive import clip_loss, siglip_loss
from percept.training.gradients import two_pass
from percept.training.process import make_accelerator

CASES = [(loss, parts) for loss in ("clip", "siglip") for parts in (1, 2)]


class Towers(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Dropout(dropout), nn.Linear(9, 5))
        self.text = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 5))
        self.logit_scale, self.logit_bias = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.tensor(-2.0))

    def forward(self, image, text):
        features = F.normalize(self.image(image), dim=-1), F.normalize(self.text(text), dim=-1)
        return *features, self.logit_scale.exp(), self.logit_bias


def towers(dropout=0.0, seed=0):
    torch.manual_seed(seed)
    return Towers(dropout).double()


def data(count=16, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, width, generator=generator, dtype=torch.float64) for width in (6, 4)]


def step(loss, size):
    """Two-pass step of a loss by name, in micro-batches of `size`."""

    def clip(image, text, scale, bias):
        return clip_loss(image, text, scale) + 0.0 * bias  # DDP wants a gradient for every parameter

    function = clip if loss == "clip" else siglip_loss
    return two_pass(
        lambda model, part: model(*part),
        function,
        lambda batch: list(zip(*(each.split(size) for each in batch), strict=True)),
    )


def gradients(model, accelerator, wrapped, loss, batch, parts):
    model.zero_grad(set_to_none=True)
    value, _ = step(loss, len(batch[0]) // parts)(accelerator, wrapped, batch)
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    return found | {"loss": accelerator.reduce(value, "mean")}


def main():
    torch.set_num_threads(1)
    accelerator, _ = make_accelerator("cpu")
    model = towers()
    wrapped = accelerator.prepare(model)
    share = 16 // accelerator.num_processes
    mine = [each.split(share)[accelerator.process_index] for each in data()]
    found = {f"{loss}-{parts}": gradients(model, accelerator, wrapped, loss, mine, parts) for loss, parts in CASES}
    # Of another rank the file must be the same, since DDP averages.
    torch.save(found, f"{sys.argv[1]}/rank{accelerator.process_index}.pt")
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main()
