"""The recipe of percept-tiny, the embedded CLIP: scenes with English and Japanese captions, an hour on two cores.

python -m percept.training.tiny --out FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from percept.data.scenes import SPLITS, TEMPLATES, noun_phrases, nouns, scene
from percept.data.scenes.sets import LANGUAGES, ScenePairs, single_objects
from percept.training.pretrain import PretrainConfig, pretrain

PAD, UNKNOWN, END = "<pad>", "<unk>", "<eos>"
MODEL: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 192, "layers": 6, "head_width": 32},
    "text_cfg": {
        "context_length": 32, "vocab_size": 2048, "width": 192, "heads": 6, "layers": 3,
        "pool_type": "eos", "eos_id": 2, "pad_id": 0, "hf_tokenizer_name": "local",
    },
}  # fmt: skip
LIVE: dict[str, Any] = {  # a tenth of the work per image: what a notebook trains on close-ups while you watch
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 128, "layers": 4, "head_width": 32},
    "text_cfg": MODEL["text_cfg"] | {"width": 128, "heads": 4, "layers": 2},
}
TIGHT = 1.25  # windows of the close-ups that LIVE is trained on, times the size of the thing
PREPROCESS: dict[str, Any] = {
    "size": 64,
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SCENES = 160_000  # distinct scenes trained on, the first of the split "pretrain"
TOKENIZER_SCENES = 20_000  # of which the tokenizer's statistics come


class Stage(NamedTuple):
    """One stage of the recipe.

    Attributes:
        name: of its folder.
        size: side of the images in px; positions are interpolated between stages.
        close_ups: share of close-ups, the rest are whole scenes.
        widest: window of the close-ups, see ``percept.data.scenes.sets.close_up``.
        steps: updates of 192 pairs.
        learning_rate: peak.
    """

    name: str
    size: int
    close_ups: float
    widest: float
    steps: int
    learning_rate: float


# Tight close-ups of 32 px cost two fifths of whole scenes and teach the nouns; scenes then teach everything else.
STAGES = (
    Stage("close-ups", 32, 1.0, 1.3, 1300, 1e-3),
    Stage("scenes", 64, 0.5, 2.2, 1100, 6e-4),
    Stage("more-scenes", 64, 0.3, 2.2, 800, 5e-4),
)


def config(stage: Stage, seed: int = 0) -> PretrainConfig:
    """Settings of one stage of the shipped weights."""
    return PretrainConfig(
        steps=stage.steps, learning_rate=stage.learning_rate, warmup=min(150, stage.steps // 8), weight_decay=0.1,
        batch_size=192, min_crop=0.9, jitter=0.1, precision="bf16", seed=seed, evaluate_every=200, checkpoint_every=100,
    )  # fmt: skip


def build_tokenizer(file: Path, scenes: int = TOKENIZER_SCENES) -> Path:
    """Learn a byte-level BPE of at most 2,048 entries from captions and write ``tokenizer.json``.

    Bytes are the fallback, so any text of any language can be encoded. Runs of kanji, hiragana and katakana are cut
    apart first, because Japanese has no spaces that would keep particles out of nouns.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip(), normalizers.Prepend(" ")]
    )
    scripts = Regex(r"[\p{Han}々]+|\p{Hiragana}+|[\p{Katakana}ー]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(scripts, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MODEL["text_cfg"]["vocab_size"],
        special_tokens=[PAD, UNKNOWN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    indices = SPLITS["pretrain"][:scenes]
    lines = (line for index in indices for language in LANGUAGES for line in scene(index).captions(language))
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(file))
    return file


class Tokenizer:
    """Captions to token ids, as open_clip does it with the same file: cut to the context, the end token kept, padded.

    Args:
        file: ``tokenizer.json``.
        context: number of ids per text.
    """

    def __init__(self, file: Path, context: int = MODEL["text_cfg"]["context_length"]) -> None:
        from tokenizers import Tokenizer as FastTokenizer

        self.fast = FastTokenizer.from_file(str(file))
        self.fast.enable_truncation(context)
        self.fast.enable_padding(length=context, pad_id=self.fast.token_to_id(PAD), pad_token=PAD)

    def __call__(self, texts: list[str]) -> Tensor:
        """int64 ``[B, context]``."""
        return torch.tensor([encoding.ids for encoding in self.fast.encode_batch(texts)])


def shipped_tokenizer() -> Tokenizer:
    """The tokenizer of the shipped percept-tiny."""
    return Tokenizer(Path(__file__).parents[1] / "models" / "tiny" / "tokenizer.json")


def new_model(seed: int = 0, architecture: Mapping[str, Any] = MODEL) -> torch.nn.Module:
    """An untrained percept-tiny, or another ``architecture`` in open_clip's terms."""
    from open_clip.model import CLIP

    torch.manual_seed(seed)
    return CLIP(**{key: dict(value) if isinstance(value, dict) else value for key, value in architecture.items()})


class HeldOut:
    """Zero-shot accuracy on held-out single objects during training, as an ``evaluate=`` function of ``fit``.

    Args:
        tokenizer: of the model.
        per_noun: pictures per class, from the split "validate".
        classes: class ids to tell apart; all unless given.
        close: side in px of tight close-ups to show instead of whole scenes at 64 px; 0 for whole scenes.
    """

    def __init__(
        self, tokenizer: Tokenizer, per_noun: int = 6, classes: Sequence[int] | None = None, close: int = 0
    ) -> None:
        chosen = single_objects("validate", per_noun, classes=classes)
        kept = list(range(len(nouns()))) if classes is None else list(classes)
        self.labels = torch.tensor([kept.index(label) for label in chosen.labels.tolist()])
        self.pixels = normalise(chosen.close_ups(close, TIGHT) if close else chosen.pictures())
        self.tokens = {
            language: [
                tokenizer([template.format(noun_phrases(language)[noun]) for noun in kept])
                for template in TEMPLATES[language]
            ]
            for language in LANGUAGES
        }

    def __call__(self, model: Any) -> dict[str, float]:
        """Accuracy by language, 0..1."""
        device = next(model.parameters()).device
        images = torch.cat([model.encode_image(part.to(device), normalize=True) for part in self.pixels.split(256)])
        accuracy = {}
        for language, prompts in self.tokens.items():
            rows = [model.encode_text(tokens.to(device), normalize=True) for tokens in prompts]
            weights = torch.nn.functional.normalize(torch.stack(rows).mean(0), dim=-1)
            guess = (images @ weights.T).argmax(-1).cpu()
            accuracy[language] = float((guess == self.labels).float().mean())
        return accuracy


def normalise(pictures: np.ndarray) -> Tensor:
    """uint8 ``[N, S, S, 3]`` to the float32 ``[N, 3, S, S]`` that the model takes."""
    mean, std = (torch.tensor(PREPROCESS[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255.0 - mean) / std


def train(folder: Path, *, stages: Sequence[Stage] = STAGES, scenes: int = SCENES, seed: int = 0) -> Path:
    """Train percept-tiny and write it as a folder that plain open_clip loads.

    A killed run goes on where it stopped when it is called again with the same arguments.

    Args:
        folder: work folder: tokenizer, checkpoints and metrics; the result is its subfolder ``model``.
        stages: what is seen, in order.
        scenes: distinct scenes.
        seed: of weights, order and augmentation.

    Returns:
        The model folder.
    """
    from percept.models.export import save_open_clip_folder

    file = folder / "tokenizer.json"
    if not file.exists():
        build_tokenizer(file, min(scenes, TOKENIZER_SCENES))
    tokenizer, model = Tokenizer(file), None
    for stage in stages:
        model = resized(model, stage.size, seed)
        pairs = ScenePairs(SPLITS["pretrain"][:scenes], size=stage.size, close_ups=stage.close_ups, widest=stage.widest)
        held_out = HeldOut(tokenizer, close=0 if stage.close_ups < 1 else stage.size)
        pretrain(
            model,
            tokenizer,
            pairs,
            config(stage, seed),
            folder / stage.name,
            evaluate={"zero_shot": held_out},
            device="cpu",
        )
    if model is None:
        raise ValueError("the recipe needs at least one stage")
    return save_open_clip_folder(folder / "model", model, MODEL, file, PREPROCESS)


def resized(model: torch.nn.Module | None, size: int, seed: int) -> torch.nn.Module:
    """The same weights for images of another size (positions interpolated), or a new model."""
    from open_clip.model import resize_pos_embed

    architecture = MODEL | {"vision_cfg": MODEL["vision_cfg"] | {"image_size": size}}
    other = new_model(seed, architecture)
    if model is not None:
        weights = model.state_dict()
        resize_pos_embed(weights, other)
        other.load_state_dict(weights)
    return other


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="work folder; the model is written to OUT/model")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.out, scenes=options.scenes, seed=options.seed)


if __name__ == "__main__":
    main()
