"""Scorers that read only the sentence: what a probe set can be solved with by blind rules."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

# A Japanese sentence has no spaces, so each of its characters counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_START, _END = "<start>", "<end>"


def words(text: str) -> list[str]:
    """Lower-cased words without punctuation; kana and kanji one by one.

    Example:
        >>> words("A dog's toy, red."), words("赤い犬")
        (['a', 'dog', 's', 'toy', 'red'], ['赤', 'い', '犬'])
    """
    return _WORD.findall(text.lower())


class TrigramModel:
    """A word trigram model with Witten-Bell smoothing, which has no constant to tune.

    The estimate of each order is mixed with that of the next lower one, which weighs as much as the history has
    different followers; below single words all known words and one place for all unknown ones are equally likely.

    Args:
        captions: sentences to learn from, at least one.

    Raises:
        ValueError: no captions.

    Source: Witten and Bell (1991), as in Chen and Goodman, "An empirical study of smoothing techniques" (1998).

    Example:
        >>> model = TrigramModel(["a dog chases a cat", "a cat sleeps"])
        >>> model.score("a cat sleeps") > model.score("sleeps cat a")
        True
    """

    def __init__(self, captions: Iterable[str]) -> None:
        self._after: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for caption in captions:
            for history, word in _steps(caption):
                for start in range(3):
                    self._after[history[start:]][word] += 1
        if not self._after:
            raise ValueError("captions is empty; the trigram model needs sentences to learn from")
        self._after = dict(self._after)
        self._total = {history: counts.total() for history, counts in self._after.items()}

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The known words and the end of a sentence."""
        return tuple(self._after[()])

    def probability(self, word: str, history: tuple[str, str]) -> float:
        """Probability of a word after two words; over the vocabulary and one unknown word it adds up to 1."""
        value = 1 / (len(self._after[()]) + 1)
        for start in (2, 1, 0):
            after = self._after.get(history[start:])
            if after:
                value = (after[word] + len(after) * value) / (self._total[history[start:]] + len(after))
        return value

    def score(self, text: str) -> float:
        """Mean log probability per word, the end counted as one: minus the logarithm of the perplexity."""
        steps = _steps(text)
        return sum(math.log(self.probability(word, history)) for history, word in steps) / len(steps)


def _steps(text: str) -> list[tuple[tuple[str, str], str]]:
    """Each word of a sentence, and its end, with the two before it."""
    padded = [_START, _START, *words(text), _END]
    return [((padded[place - 2], padded[place - 1]), padded[place]) for place in range(2, len(padded))]


def text_scores(sentences: Sequence[str], captions: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Scores of sentences by rules that see no picture.

    Args:
        sentences: M of them.
        captions: to train the trigram model on; without any it is left out.

    Returns:
        {rule: float64 [M]}: "shorter sentence" and "longer sentence" by number of words, "n-gram likelihood".

    Example:
        >>> text_scores(["a red dog", "a dog"])["shorter sentence"].tolist()
        [-3.0, -2.0]
    """
    length = np.array([len(words(text)) for text in sentences], dtype=np.float64)
    found = {"shorter sentence": -length, "longer sentence": length}
    captions = list(captions)
    if captions:
        model = TrigramModel(captions)
        found["n-gram likelihood"] = np.array([model.score(text) for text in sentences])
    return found
