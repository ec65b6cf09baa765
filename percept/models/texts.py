"""Checks on sentences before a text tower reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the sentences as a list, or raise ValueError naming the one that is empty or no string."""
    if isinstance(texts, str):
        raise ValueError("texts is one string; pass a list: [text]")
    texts = list(texts)
    if not texts:
        raise ValueError("texts is empty")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"text {index} is a {type(text).__name__}, not a string")
        if not text.strip():
            raise ValueError(f"text {index} is empty")
    return texts


def token_count(tokenizer: Any, text: str) -> int:
    """Return the length of one sentence in tokens, end token included, before any cutting."""
    if hasattr(tokenizer, "tokenizer"):
        return len(tokenizer.tokenizer(tokenizer.clean_fn(text))["input_ids"])
    # open_clip's own BPE adds a start and an end token.
    return len(tokenizer.encode(text)) + 2
