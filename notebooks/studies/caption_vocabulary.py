"""Study: the same pictures, the same number of pairs, other captions - what does the vocabulary decide?

Small models learn from tight close-ups of all nouns. Arms differ in the captions alone; shuffled captions are the
negative control. Numbers are shares on held-out close-ups: naming by English and Japanese prompts, and search by full
sentence (first hit among 276).
"""

import numpy as np
import torch

from percept.data.pairs import ArrayPairs
from percept.data.scenes import SPLITS, TEMPLATES, noun_phrases, nouns, picture, scene
from percept.data.scenes.sets import close_up, single_objects
from percept.evaluation.retrieval import image_text_retrieval
from percept.evaluation.zero_shot import classify
from percept.training import tiny
from percept.training.pretrain import PretrainConfig, pretrain

BUDGET = {"pairs": 19_200, "batch": 64, "scenes": 5_000, "test_per_noun": 3}
ARMS = [
    "labels",  # "dog, car": bare class words, as a shop floor's database holds them
    "templated labels",  # "a picture of dog, car": the same words in a template
    "sentences",  # everything the English grammar says: colours, acts, relations, places
    "sentences, both languages",  # English or Japanese, half each, on the same budget
    "shuffled sentences",  # negative control
]
SEEDS = [0, 1, 2]


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """Train one small model and test it."""
    start = SPLITS["pretrain"][200_000 + seed * budget["scenes"]]
    made = [close_up(scene(index), tiny.TIGHT) for index in range(start, start + budget["scenes"])]
    captions = [captions_of(arm, item) for item in made]
    if arm == "shuffled sentences":
        order = np.random.default_rng(seed).permutation(len(captions))
        captions = [captions[position] for position in order]
    tokenizer = tiny.shipped_tokenizer()
    model = tiny.new_model(seed, tiny.LIVE)
    steps = budget["pairs"] // budget["batch"]
    settings = PretrainConfig(
        steps=steps, learning_rate=2e-3, warmup=steps // 10, weight_decay=0.1, batch_size=budget["batch"], seed=seed,
        min_crop=0.9,
    )  # fmt: skip
    pixels = np.stack([picture(item, 32) for item in made])
    pretrain(model, tokenizer, ArrayPairs(pixels, captions), settings, device="cpu", progress=None)
    return scores(model, tokenizer, seed, budget)


def captions_of(arm: str, made) -> list[str]:
    """Captions of one close-up under an arm."""
    if arm == "sentences, both languages":
        return made.captions("en") + made.captions("ja")
    if "sentences" in arm:
        return made.captions("en")
    words = ", ".join(made.things[position].kind.key for position in made.named) or "nothing"
    return [words] if arm == "labels" else [f"a picture of {words}"]


@torch.no_grad()
def scores(model, tokenizer, seed: int, budget: dict) -> dict[str, float]:
    """Naming and search on held-out single objects."""
    test = single_objects("test", budget["test_per_noun"], offset=18_000 * seed, scan=18_000)
    images = model.encode_image(tiny.normalise(test.close_ups(32, tiny.TIGHT)), normalize=True)
    found = {}
    for language, title in (("en", "English prompts"), ("ja", "Japanese prompts")):
        bare = [noun.key for noun in nouns()] if language == "en" else []
        prompts = [[template.format(name) for name in noun_phrases(language)] for template in TEMPLATES[language]]
        rows = [model.encode_text(tokenizer(names), normalize=True) for names in (*prompts, *([bare] if bare else []))]
        weights = torch.nn.functional.normalize(torch.stack(rows).mean(0), dim=-1)
        found[title] = float((classify(images, weights) == test.labels).mean())
    sentences = [max(close_up(scene(int(i)), tiny.TIGHT).captions()[:3], key=len) for i in test.indices]
    texts = model.encode_text(tokenizer(sentences), normalize=True)
    ranks = image_text_retrieval(images, texts, np.arange(len(sentences)), texts=sentences)
    return found | {"search": float(ranks["image_retrieval_recall@1"])}
