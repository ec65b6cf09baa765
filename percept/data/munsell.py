"""Munsell colours as triplets: a scale that human observers spaced, offline.

What it is: the renotation of the Munsell system, in which observers spaced colours evenly in hue, value
(lightness) and chroma; about 40 observers and 3 million judgments went into the published, smoothed table.
What it is not: a set of single judgments. Nothing says how often people disagree, so there is no noise ceiling, and
a perfect score means agreement with the scale. It is about colour alone, here shown as uniform patches that nobody
has judged. CIELAB is no independent competitor: its cube root was fitted to Munsell value, and it descends from
formulas made for Munsell spacing; CIEDE2000 is built on CIELAB.

From the table to pixels: xyY under illuminant C (Y counts smoked magnesium oxide as 100, so times 0.975), adapted
to D65 with CAT02, encoded as 8-bit sRGB. A colour is inside sRGB when no channel leaves 0..1 (no tolerance):
1,512 of the 2,734. Other rules give other counts: 1,526 with Bradford, 1,489 with CAT02 and without the factor 0.975.

Sources: Newhall, Nickerson and Judd, J. Opt. Soc. Am. 33 (1943), as carried by `colour-science` (the table "real").
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from percept.data.triplets import Triplets, TripletsError

FAMILIES = ("R", "YR", "Y", "GY", "G", "BG", "B", "PB", "P", "RP")
PREFIXES = ("2.5", "5", "7.5", "10")
AXES = ("hue", "value", "chroma")
KINDS = (*AXES, "nickerson")
FOLDS = 5
HUES = len(FAMILIES) * len(PREFIXES)
BLOCK = HUES // FOLDS  # hues that are held out together: two neighbouring families
FORMULAS = ("CIE 1976", "CIE 2000")


@dataclass(frozen=True, eq=False)
class MunsellSet:
    """One split.

    Attributes:
        triplets: pictures are uniform patches, groups one of `KINDS`, votes 0 or 1 (the scale has no doubt).
        lab: float64 [N, 3], CIELAB under D65 of the 8-bit patches, row i for picture i.
        table: row i for picture i: hue, hue_step, value, chroma, red, green, blue.
    """

    triplets: Triplets
    lab: np.ndarray
    table: pd.DataFrame


@cache
def _colour() -> Any:
    # It takes over a second to import, warns about optional packages that nothing here uses, and changes how
    # NumPy prints everywhere.
    with warnings.catch_warnings(), np.printoptions():
        warnings.simplefilter("ignore")
        import colour
    return colour


@cache
def renotation() -> pd.DataFrame:
    """All 2,734 published colours.

    Returns:
        hue ("5R"), hue_step (0 = 2.5R to 39 = 10RP), value 1-9, chroma 2-38 (even), x, y, Y (as published:
        illuminant C, magnesium oxide = 100), red, green, blue (sRGB under D65, 0..255 rounded, out-of-gamut ones
        clipped) and inside (True where sRGB shows the colour).
    """
    rows = _colour().MUNSELL_COLOURS["real"]
    table = pd.DataFrame([name for name, _ in rows], columns=["hue", "value", "chroma"])
    table[["value", "chroma"]] = table[["value", "chroma"]].astype(int)
    steps = {prefix + family: 4 * f + p for f, family in enumerate(FAMILIES) for p, prefix in enumerate(PREFIXES)}
    table.insert(1, "hue_step", table["hue"].map(steps).astype(int))
    published = np.array([xyy for _, xyy in rows])
    table[["x", "y", "Y"]] = published
    rgb = to_srgb(published)
    table[["red", "green", "blue"]] = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
    table["inside"] = ((rgb >= 0) & (rgb <= 1)).all(axis=1)
    return table


def to_srgb(xyy: Any) -> np.ndarray:
    """Encoded sRGB [N, 3] (0..1 where the screen can show it) of published x, y, Y [N, 3] under illuminant C.

    Y is scaled by 0.975, adaptation to D65 is CAT02, the observer that of 1931.
    """
    colour = _colour()
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["C"]
    xyz = colour.xyY_to_XYZ(np.asarray(xyy, dtype=np.float64) * [1, 1, 0.975 / 100])
    return np.asarray(colour.XYZ_to_sRGB(xyz, illuminant=white, chromatic_adaptation_transform="CAT02"))


def split_hues(fold: int = 0) -> dict[str, np.ndarray]:
    """Hue steps of each split. The circle of 40 hues has five blocks of eight, each two neighbouring families.

    Fold k tests on block k (0: R, YR; 1: Y, GY; 2: G, BG; 3: B, PB; 4: P, RP) and validates on the block two further
    on; the other three are for training. The five folds test every hue once.

    Example:
        >>> split_hues(1)["test"].tolist()
        [8, 9, 10, 11, 12, 13, 14, 15]
    """
    if fold not in range(FOLDS):
        raise TripletsError(f"fold must be 0 to {FOLDS - 1}, got {fold}")
    block = np.arange(HUES) // BLOCK
    split = {"test": block == fold, "val": block == (fold + 2) % FOLDS}
    split["train"] = ~split["test"] & ~split["val"]
    return {name: np.flatnonzero(split[name]) for name in ("train", "val", "test")}


def nickerson(reference: Any, other: Any) -> np.ndarray:
    """Nickerson's index of colour difference: 0.4 C dH + 6 dV + 3 dC, with the chroma C of the reference.

    Args:
        reference, other: [..., 3] hue step (2.5 hue units each, on a circle of 40), value, chroma.

    Returns:
        float64 [...]; one step of value counts 6, one of chroma (two units) as well.

    Source: Nickerson, The specification of color tolerances, Textile Research 6 (1936).

    Example:
        >>> float(nickerson([27, 5, 6], [25, 5, 4]))  # 10B 5/6 and 5B 5/4
        18.0
    """
    a, b = np.asarray(reference, dtype=np.float64), np.asarray(other, dtype=np.float64)
    hue, value, chroma = np.moveaxis(np.abs(a - b), -1, 0)
    return 0.4 * a[..., 2] * 2.5 * np.minimum(hue, HUES - hue) + 6 * value + 3 * chroma


def munsell_triplets(
    fold: int = 0, seed: int = 0, per_kind: Mapping[str, int] | None = None, size: int = 64, max_steps: int = 4
) -> dict[str, MunsellSet]:
    """Triplets of four kinds, held out by hue: no hue of one split occurs in another.

    "hue", "value", "chroma": the three colours differ along this axis alone, and the reference lies between the
    candidates (were both on one side, any scale that rises would do). Steps are 2.5 hue units, one of value,
    two of chroma; both candidates are at most `max_steps` away, one nearer than the other. The pairs (nearer, farther)
    - 1 and 2, 1 and 3, ... - are drawn equally often as far as there are enough; for such a pair every
    possible triplet is equally likely.
    "nickerson": the candidates differ from the reference along two or three axes; nearer is who has the smaller
    `nickerson` difference, both at most 6 `max_steps` and apart by at least half a step of value (3). Every
    possible triplet is equally likely. This kind also asks how much hue is worth how much lightness.

    No triplet is used twice, each kind has equally many, and the nearer one stands on either side by chance.

    Args:
        fold: which hues are held out, see `split_hues`.
        seed: of the draw and of the sides.
        per_kind: triplets of each kind; default train 600, val 100, test 100 (the greens have no more chroma).
        size: side of a patch in pixels.
        max_steps: 2 to 8.

    Returns:
        Sets by "train", "val" and "test".

    Raises:
        TripletsError: settings out of range, or more triplets than there are.
    """
    if not 2 <= max_steps <= BLOCK or size < 1:
        raise TripletsError(f"max_steps must be 2 to {BLOCK} and size at least 1, got {max_steps} and {size}")
    wanted = {"train": 600, "val": 100, "test": 100} | dict(per_kind or {})
    table = renotation()[lambda t: t["inside"]]
    sets = {}
    for number, (split, hues) in enumerate(split_hues(fold).items()):
        rng = np.random.default_rng([seed, fold, number])
        part = table[table["hue_step"].isin(hues)].reset_index(drop=True)
        part = part[["hue", "hue_step", "value", "chroma", "red", "green", "blue"]]
        drawn = [_along(part, axis, max_steps, rng)[: wanted[split]] for axis in AXES]
        drawn.append(_by_formula(part, 6.0 * max_steps, wanted[split], rng))
        for kind, found in zip(KINDS, drawn, strict=True):
            if len(found) < wanted[split]:
                raise TripletsError(
                    f"{split} has {len(found)} triplets of kind {kind}, not {wanted[split]}; ask for fewer"
                )
        sets[split] = _as_set(part, np.concatenate(drawn), split, size, rng)
    return sets


def _as_set(part: pd.DataFrame, items: np.ndarray, split: str, size: int, rng: np.random.Generator) -> MunsellSet:
    swap = rng.random(len(items)) < 0.5
    items[swap] = items[swap][:, [0, 2, 1]]
    patches = np.empty((len(part), size, size, 3), dtype=np.uint8)
    patches[:] = part[["red", "green", "blue"]].to_numpy()[:, None, None]
    groups = np.repeat(KINDS, len(items) // len(KINDS))
    triplets = Triplets(patches, items, swap.astype(float), np.ones(len(items)), groups, "Munsell", split)
    return MunsellSet(triplets, _lab(part), part)


def lab_distances(part: MunsellSet, formula: str = "CIE 1976") -> tuple[np.ndarray, np.ndarray]:
    """(d_left, d_right), float64 [T]: colour differences under D65 between the patches as shown.

    Args:
        part: one split.
        formula: "CIE 1976" (Euclidean in CIELAB) or "CIE 2000" (CIEDE2000).
    """
    if formula not in FORMULAS:
        raise TripletsError(f"formula must be one of {', '.join(FORMULAS)}, got {formula!r}")
    reference, left, right = (part.lab[column] for column in part.triplets.items.T)
    difference = _colour().delta_E
    return difference(reference, left, method=formula), difference(reference, right, method=formula)


def _lab(part: pd.DataFrame) -> np.ndarray:
    colour = _colour()
    white = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D65"]
    rgb = part[["red", "green", "blue"]].to_numpy(dtype=np.float64) / 255
    return np.asarray(colour.XYZ_to_Lab(colour.sRGB_to_XYZ(rgb), white))


def _along(part: pd.DataFrame, axis: str, max_steps: int, rng: np.random.Generator) -> np.ndarray:
    """int64 [K, 3]: every reference, nearer, farther along an axis; any first so many are balanced over the steps."""
    place = {"hue": part["hue_step"], "value": part["value"], "chroma": part["chroma"] // 2}[axis].to_numpy()
    fixed = [{"hue": "hue_step"}.get(name, name) for name in AXES if name != axis]
    found = []
    for rows in part.groupby(fixed).indices.values():
        offset = place[rows] - place[rows][:, None]
        if axis == "hue":
            offset = (offset + HUES // 2) % HUES - HUES // 2
        near, far = offset[:, :, None], offset[:, None, :]
        a, b, c = np.nonzero((near * far < 0) & (np.abs(near) < np.abs(far)) & (np.abs(far) <= max_steps))
        steps = np.abs(np.stack([offset[a, b], offset[a, c]], axis=1))
        found.append(np.concatenate([rows[np.stack([a, b, c], axis=1)], steps], axis=1))
    possible = rng.permutation(np.concatenate(found))
    turn = pd.DataFrame(possible[:, 3:]).groupby([0, 1]).cumcount().to_numpy()
    return possible[np.argsort(turn, kind="stable"), :3]


def _by_formula(part: pd.DataFrame, limit: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """int64 [<= count, 3]: reference, nearer, farther by `nickerson`, drawn blindly and kept where they qualify."""
    places = part[["hue_step", "value", "chroma"]].to_numpy()
    kept = np.empty((0, 3), dtype=np.int64)
    for _ in range(50):
        items = rng.integers(len(part), size=(20_000, 3))
        reference, near, far = (places[column] for column in items.T)
        d_near, d_far = nickerson(reference, near), nickerson(reference, far)
        mixed = ((reference != near).sum(axis=1) > 1) & ((reference != far).sum(axis=1) > 1)
        kept = np.concatenate([kept, items[mixed & (d_far <= limit) & (d_far - d_near >= 3)]])
        _, first = np.unique(kept, axis=0, return_index=True)
        kept = kept[np.sort(first)]
        if len(kept) >= count:
            break
    return kept[:count]
