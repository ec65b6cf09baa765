"""Tiny random models in the form in which users hold theirs."""

from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from percept.models.export import save_open_clip_folder

CAPTIONS = ["a red cat chases a blue dog on the grass", "two zebras and a cat", "赤い猫が青い犬を追いかけている"]
PREPROCESS = {
    "mean": [0.48, 0.46, 0.41],
    "std": [0.27, 0.26, 0.28],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
CONFIG = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {
        "context_length": 12,
        "vocab_size": 320,
        "width": 64,
        "heads": 2,
        "layers": 2,
        "pool_type": "eos",
        "eos_id": 2,
        "pad_id": 0,
    },
}


def write_tokenizer(path: Path, *, ends_with_eos: bool = True) -> Path:
    """A small byte-pair tokenizer for English and Japanese in one Hugging Face file."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[EOS]"], show_progress=False)
    tokenizer.train_from_iterator(CAPTIONS * 5, trainer)
    if ends_with_eos:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 2)])
    tokenizer.save(str(path))
    return path


def random_clip(seed: int = 0, **changes: object) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = open_clip.CLIP(**(CONFIG | changes)).eval()
    # open_clip leaves the projection at a scale where random embeddings nearly coincide.
    torch.nn.init.normal_(model.text_projection, std=0.2)
    return model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder in open_clip's local form with a random model, and that model."""
    home = tmp_path_factory.mktemp("tiny")
    tokenizer = write_tokenizer(home / "tokenizer.json")
    model = random_clip()
    folder = save_open_clip_folder(home / "folder", model, CONFIG, tokenizer, PREPROCESS, dtype="fp32", card="# Tiny\n")
    return SimpleNamespace(
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        config=CONFIG,
        preprocess=PREPROCESS,
        random_clip=random_clip,
        write_tokenizer=write_tokenizer,
    )


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt to open a connection fails, and is seen."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("Network is unreachable (test)")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
