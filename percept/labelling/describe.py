"""From a folder of images to a panel for describing them in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept.data.judgments import Judgments
from percept.labelling.folder import opened_store, questions_of, random_pictures
from percept.labelling.plan import Questions

if TYPE_CHECKING:
    from percept.labelling.describer import Describer


def describe_folder(
    data_dir: str | Path,
    rater: str = "",
    *,
    template: Mapping[str, Any] | None = None,
    n: int | None = None,
    study: str = "",
    seed: int = 0,
    store: Judgments | str | Path | None = None,
    **panel: Any,
) -> Describer:
    """Describe one's own images, each as a whole or in boxes: show what this returns as the last line of a cell.

    The first call stores which pictures are described; every later call with the same folder and study, by the same
    or another rater, goes on with those. `percept.data.judgments.export_captions` and `export_regions` write files to
    train on.

    Args:
        data_dir: folder of images as in `percept.data.images.read_folder`; those that cannot be used are logged.
        rater: pseudonym; empty: the first page asks.
        template: fields with choices that make a sentence, such as `percept.labelling.INSPECTION`; None: free words.
        n: that many pictures, drawn at random; default: all.
        study: its name; default: the folder's name and "describe".
        seed: of the draw and of the order.
        store: the judgments, or their file; default: `judgments.sqlite` beside the run folders.
        **panel: group, groups, language, consent, size, ... of `Describer`.

    Raises:
        percept.data.images.ImageError: no folder, no images.
        SessionError: a template that does not fit together; images of a known study are gone or have changed; the
            study has another task.

    Example:
        >>> from percept.labelling import INSPECTION, describe_folder
        >>> describe_folder("photos", template=INSPECTION, groups=["inspector"], language="ja")  # doctest: +SKIP
    """
    from percept.labelling.describer import Describer  # the panel needs ipywidgets, the pictures do not

    folder = Path(data_dir).resolve()
    study, store = study or f"{folder.name} describe", opened_store(store)
    how = "all" if n is None else f"random (seed {seed})"
    asked = questions_of(
        store, study, "describe", folder,
        lambda data: (random_pictures(data, len(data.paths) if n is None else n, seed, "describe"), how),
    )  # fmt: skip
    assert isinstance(asked, Questions)
    return Describer(store, study, asked, rater, template=template, seed=seed, **panel)
