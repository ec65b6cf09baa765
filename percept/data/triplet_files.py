"""What the readers of published judgments share: tables by column name, safe names of pictures, plain arrays."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from percept.data.triplets import TripletsError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")


def need_file(path: str | Path, what: str) -> Path:
    """The path of a file that exists, or an error that says which file is missing."""
    path = Path(path)
    if not path.is_file():
        raise TripletsError(f"no such file; {what}", path)
    return path


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = (), separator: str = ",") -> pd.DataFrame:
    """Some columns of a table by name (case does not matter), as text, indexed by the row a spreadsheet shows.

    UTF-8 (with or without mark), UTF-16 with a mark, else Shift-JIS (cp932), as Excel in Japan saves tables.

    Raises:
        TripletsError: a column that is missing, or text that is no table.
    """
    wanted = {*columns, *optional}
    with path.open("rb") as file:
        codecs = ["utf-16"] if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp932"]
    for codec in codecs:
        try:
            table = pd.read_csv(
                path, sep=separator, encoding=codec, dtype=str, keep_default_na=False, skip_blank_lines=False,
                index_col=False, usecols=lambda name: name.strip().lower() in wanted,
            )  # fmt: skip
            break
        except UnicodeDecodeError:
            continue
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise TripletsError(
                f"is not a readable table ({str(error).strip()}); save it again as CSV", path
            ) from error
    else:
        raise TripletsError("text is neither UTF-8 nor Shift-JIS; save it as 'CSV UTF-8'", path)
    table.columns = table.columns.str.strip().str.lower()
    missing = [name for name in columns if name not in table]
    if missing:
        kind = "tabs" if separator == "\t" else "commas"
        raise TripletsError(f"has no column {missing[0]!r}; columns are read by name and separated by {kind}", path, 1)
    table.index += 2
    table = table.fillna("").apply(lambda cells: cells.str.strip())
    return table[(table != "").any(axis=1)]


def numbers(path: Path, cells: pd.Series, low: float, high: float, what: str) -> np.ndarray:
    """A column as finite floats within limits; the first bad cell is named with its row."""
    values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~((values >= low) & (values <= high)))
    if bad.size:
        raise TripletsError(f"{cells.name} {cells.iloc[bad[0]]!r} is not {what}", path, int(cells.index[bad[0]]))
    return values


def inside(path: Path, name: str, row: int | None) -> str:
    """A file name inside the data folder: backslashes of Windows turned, NFC; others are refused."""
    clean = unicodedata.normalize("NFC", name.strip().replace("\\", "/")).removeprefix("./")
    if not clean or clean.startswith("/") or clean[1:2] == ":" or ".." in clean.split("/"):
        raise TripletsError(f"{name!r} must be the path of a picture inside the data folder", path, row)
    return clean


def find_pictures(path: Path, folder: str | Path, names: Iterable[str], rows: Iterable[int]) -> list[Path]:
    """Existing files for names (with or without suffix) that a list gives; the first absent one is named.

    Args:
        path: the list, for the message.
        folder: where the pictures are.
        names: name of each picture.
        rows: row of the list in which each stands.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TripletsError("no such folder; name the folder that holds the pictures", folder)
    found: list[Path] = []
    absent = []
    for name, row in zip(names, rows, strict=True):
        clean = inside(path, str(name), row)
        options = [clean] if clean.lower().endswith(SUFFIXES) else [clean + suffix for suffix in SUFFIXES]
        match = next((folder / option for option in options if (folder / option).is_file()), None)
        if match is None:
            absent.append((int(row), options[0]))
        else:
            found.append(match)
    if absent:
        row, name = absent[0]
        count = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise TripletsError(f"picture {name!r}{count} not found in {folder}; unpack all archives there", path, row)
    return found


def load_array(path: Path) -> np.ndarray:
    """A plain `.npy` array; pickled objects are never opened."""
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise TripletsError("no such file; name the .npy file as published", path) from None
    except Exception as error:  # numpy raises anything from EOFError to UnpicklingError on damaged headers
        raise TripletsError(
            f"is no plain .npy array ({error}); get it again. Pickles are not opened: they can run code", path
        ) from error
