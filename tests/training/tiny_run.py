"""A very small open_clip model on made-up pairs; as a script, a pretraining that can be killed.

`python tiny_run.py FOLDER [none | STEP | saving]`: train, and die by SIGKILL after that step or in the middle
of the second checkpoint.
"""

import hashlib
import os
import signal
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from percept.data.pairs import ArrayPairs
from percept.losses.contrastive import clip_loss
from percept.training.pretrain import PretrainConfig, pretrain

__all__ = ["clip_loss", "model", "pairs", "tokenizer"]
CAPTIONS = [f"{number:03d} a" for number in range(100)]
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}


class Small(nn.Module):
    """Two towers with dropout, for the script: importing open_clip takes longer than all its steps."""

    def __init__(self):
        super().__init__()
        self.visual = nn.Sequential(
            nn.Conv2d(3, 16, 8, 8), nn.GELU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(256, 16)
        )
        self.visual.image_size = 32
        self.text = nn.Sequential(nn.Embedding(50, 16), nn.Dropout(0.3), nn.Flatten(), nn.Linear(128, 16))
        self.logit_scale = nn.Parameter(torch.tensor(2.6))

    def forward(self, image, text):
        rows = F.normalize(self.visual(image), dim=-1), F.normalize(self.text(text), dim=-1)
        return *rows, self.logit_scale.exp()


def model(bias=None, seed=0, **vision):
    import open_clip

    torch.manual_seed(seed)
    return open_clip.CLIP(embed_dim=32, vision_cfg={**VISION, **vision}, text_cfg=TEXT, init_logit_bias=bias)


def tokenizer(captions):
    ids = [[1, *(3 + ord(sign) % 40 for sign in text[:6]), 49, 0, 0, 0, 0, 0, 0] for text in captions]
    return torch.tensor([row[:8] for row in ids])


def pairs(count=100):
    images = np.random.default_rng(0).integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)
    return ArrayPairs(images, [[caption, caption[::-1]] for caption in CAPTIONS[:count]])


def config(**changes):
    settings = {"steps": 10, "batch_size": 32, "micro_batch": 16, "warmup": 2, "log_every": 1, "checkpoint_every": 4}
    return PretrainConfig(**(settings | changes))


def fingerprint(model):
    return hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in model.parameters())).hexdigest()


def main():
    torch.set_num_threads(1)
    folder, death = sys.argv[1], sys.argv[2]

    def log(row):
        if str(row["step"]) == death:
            os.kill(os.getpid(), signal.SIGKILL)

    if death == "saving":
        from percept.training import checkpoint

        write, calls = checkpoint.save_file, []

        def half_written(tensors, path):
            write(tensors, path)
            calls.append(path)
            if len(calls) == 2:
                path.write_bytes(path.read_bytes()[:1000])
                os.kill(os.getpid(), signal.SIGKILL)

        checkpoint.save_file = half_written
    torch.manual_seed(0)
    trained = Small()
    result = pretrain(trained, tokenizer, pairs(), config(), folder, log=log, device="cpu", progress=None)
    print(result.resumed_from, fingerprint(trained))


if __name__ == "__main__":
    main()
