"""ARO on the order of words: captions of COCO or Flickr30k against the same words in another order.

The authors draw the false captions anew in every run, without a seed, and did not release theirs. Two of their four
kinds need no tagger and are drawn here; the other two (nouns and adjectives; everything but those) can only be read.
Source: Yuksekgonul et al., When and Why Vision-Language Models Behave like Bags-of-Words, and What to Do About It
(2023).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from percept.data.probe_set import ProbeError, ProbeSet
from percept.data.published_probes.files import (
    first_asked,
    need_pictures,
    number,
    number_rows,
    place,
    read_entries,
    same_note,
)

FILES = {"coco": "coco_karpathy_test.json", "flickr30k": "flickr30k_test.json"}
MAX_WORDS = 30
TRIES = 50
Shuffle = Callable[[list[str], np.random.Generator], list[str]]


def read_aro_order(folder: str | Path, data: str = "coco", *, seed: int = 0) -> ProbeSet:
    """Read captions of the Karpathy test part and put two false orders of words beside each.

    The first false caption has the words exchanged within each group of three, the second the groups. Captions are
    cleaned as by the authors (lower case, without .!"()*#:;~, at most 30 words) but before the shuffling, and split
    at spaces, so that true and false ones hold the same words. No false order equals the true one; captions
    that allow none, such as whole groups of three words or fewer, are left out. Not the published score: chance is
    1 of 3 here, 1 of 5 there. The authors advise to average several runs: vary the seed.

    Args:
        folder: holds `coco_karpathy_test.json` or `flickr30k_test.json`, a list with image and caption (a list of
            texts), and below it the pictures at the paths that it names.
        data: "coco" or "flickr30k".
        seed: of the orders, which depend on it and on the place in the list alone.

    Returns:
        Items of one picture and three sentences, the true one first; ids `row/caption`, counted from 1.

    Raises:
        ProbeError: names the file, and the row, counted from 1, where there is one.
    """
    if data not in FILES:
        raise ProbeError(f"data must be one of {', '.join(FILES)}, got {data!r}")
    path = Path(folder) / FILES[data]
    entries = read_entries(path, {"image": str, "caption": list}, f"name the folder that holds {path.name}")
    ids, images, options, short = [], [], [], 0
    for row, entry in entries.items():
        if not entry["caption"] or not all(isinstance(text, str) for text in entry["caption"]):
            raise ProbeError(f"{place(path, row)}: caption {entry['caption']!r} is not a list of texts")
        for k, text in enumerate(entry["caption"], 1):
            false = false_orders(text, np.random.default_rng([seed, int(row), k]))
            if false:
                ids.append(f"{row}/{k}")
                images.append((entry["image"], place(path, row)))
                options.append([" ".join(clean_words(text)), *false])
            else:
                short += 1
    if not options:
        raise ProbeError(f"{path}: no caption is long enough for another order of its words")
    notes = [
        f"seed {seed}; orders within and of groups of three words (the authors' other two kinds need a tagger); "
        "chance is 1 of 3",
        f"{short:,} captions left out that allow no other order",
    ]
    return _option_set(f"ARO {data} order, 2 of 4 kinds", Path(folder), images, options, ids, notes)


def read_aro_options(file: str | Path, images: str | Path, name: str = "ARO order") -> ProbeSet:
    """Read captions and false orders that were made elsewhere, such as the authors' four kinds.

    Args:
        file: JSON list with image and caption_options (the true caption first), the form of the authors' test cases:
            `json.dump(dataset.test_cases, file)` in their code writes it.
        images: folder below which the pictures lie at the paths that the list names.
        name: of the set.

    Returns:
        Items of one picture and as many sentences as there are options, the true one first. A shuffle may give the
        true caption again; `notes` counts these.

    Raises:
        ProbeError: names the file, and the row, counted from 1, where there is one.
    """
    path = Path(file)
    entries = read_entries(path, {"image": str, "caption_options": list}, "write the authors' test cases there")
    options = [entry["caption_options"] for entry in entries.values()]
    for row, texts in zip(entries, options, strict=True):
        if len(texts) != len(options[0]) or len(texts) < 2 or not all(isinstance(text, str) for text in texts):
            form = f"{max(len(options[0]), 2)} texts, the true caption first"
            raise ProbeError(f"{place(path, row)}: caption_options {texts!r} are not {form}")
    asked = [(entry["image"], place(path, row)) for row, entry in entries.items()]
    notes = [f"chance is 1 of {len(options[0])}", *same_note(options)]
    return _option_set(name, Path(images), asked, options, [f"row {row}" for row in entries], notes)


def _option_set(
    name: str, folder: Path, asked: list[tuple[str, str]], options: list[list[str]], ids: list[str], notes: list[str]
) -> ProbeSet:
    files = need_pictures(folder, first_asked(asked))
    names, picture = number(image for image, _ in asked)
    sentences, sentence = number_rows(options)
    pictures = [files[image] for image in names]
    return ProbeSet(name, pictures, sentences, picture[:, None], sentence, ids=ids, notes=notes)


def clean_words(caption: str) -> list[str]:
    """Words of a caption in lower case without .!"()*#:;~, at most 30.

    >>> clean_words("Two dogs; one (brown) runs.")
    ['two', 'dogs', 'one', 'brown', 'runs']
    """
    return re.sub(r'[.!"()*#:;~]', " ", caption.lower()).split()[:MAX_WORDS]


def false_orders(caption: str, rng: np.random.Generator) -> list[str]:
    """The two false orders of a caption, or none where one of them cannot differ from the true one."""
    words, false = clean_words(caption), []
    for shuffle in (within_trigrams, whole_trigrams):
        drawn = (shuffle(words, rng) for _ in range(TRIES))
        other = next((order for order in drawn if order != words), None)
        if other is None:
            return []
        false.append(" ".join(other))
    return false


def within_trigrams(words: list[str], rng: np.random.Generator) -> list[str]:
    """Exchange words within each group of three."""
    return [group[i] for group in _trigrams(words) for i in rng.permutation(len(group))]


def whole_trigrams(words: list[str], rng: np.random.Generator) -> list[str]:
    """Exchange the groups of three; the last may be shorter.

    >>> " ".join(whole_trigrams("a red fox runs over the road".split(), np.random.default_rng(3)))
    'road runs over the a red fox'
    """
    groups = _trigrams(words)
    return [word for i in rng.permutation(len(groups)) for word in groups[i]]


def _trigrams(words: list[str]) -> list[list[str]]:
    return [words[start : start + 3] for start in range(0, len(words), 3)]
