"""Embeddings kept on disk, so that no picture is embedded twice by the same encoder.

One SQLite file per encoder and kind of feature. The key of a row is the picture's content, never its name,
so renamed, copied or re-read files are found again and a changed file is not. The name of a file also holds a
hash of this folder's code: rows that older code computed are never taken for those of the present one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sqlite3
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from percept.models.encoders import Encoder
from percept.models.preprocessing import Images, check_images
from percept.models.towers import check_kind

# SQLite's default limit of variables in one statement is far above this in every version we support.
LOOKUP_SIZE = 500
WRITE_EVERY = 1024
WAIT_SECONDS = 120.0


class EmbeddingCache:
    """A folder of embeddings, safe under several processes.

    Args:
        folder: Where the files are kept; made if absent. Deleting it loses only time.

    Attributes:
        hits: Rows found so far, a repeated picture counted each time.
        misses: Pictures embedded so far.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hits = 0
        self.misses = 0

    def encode(self, encoder: Encoder, images: Images, kind: str = "embedding", batch_size: int = 64) -> torch.Tensor:
        """Return what the encoder would, computing only what is not on disk yet.

        Args:
            encoder: The encoder; its fingerprint, precision and ``kind`` choose the file.
            images: As in `Encoder.encode_images`. A picture that occurs twice is computed once.
            kind: ``"embedding"`` for `Encoder.encode_images`, or a kind of `Encoder.features`.
            batch_size: Pictures per forward pass.

        Returns:
            float32 [N, ...], row by row as the encoder returns them.

        Raises:
            ValueError: If a picture or ``kind`` is not usable.
        """
        if kind != "embedding":
            check_kind(kind)
        checked = check_images(images)
        keys = [content_key(image) for image in checked]
        places: dict[bytes, int] = {}
        for index, key in enumerate(keys):
            places.setdefault(key, index)
        name = f"{encoder.fingerprint[:32]}-{code_version()}-{encoder.precision}-{kind}.sqlite"
        store = _Store(self.folder / name)
        rows = store.read(list(places))
        missing = [key for key in places if key not in rows]
        self.hits += len(keys) - len(missing)
        self.misses += len(missing)
        for start in range(0, len(missing), WRITE_EVERY):
            part = missing[start : start + WRITE_EVERY]
            wanted = [places[key] for key in part]
            chosen = checked[wanted] if isinstance(checked, np.ndarray) else [checked[i] for i in wanted]
            values = _compute(encoder, chosen, kind, batch_size).numpy()
            fresh = dict(zip(part, values, strict=True))
            store.write(fresh)
            rows |= fresh
        return torch.from_numpy(np.stack([rows[key] for key in keys]))


@functools.cache
def code_version() -> str:
    """Return 8 hex digits over the sources of `percept.models`, which turn a picture into a row."""
    return source_hash(Path(__file__).parent)


def source_hash(folder: Path) -> str:
    """Return 8 hex digits over the names and contents of the Python files directly in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:8]


def content_key(image: Image.Image | np.ndarray) -> bytes:
    """Return SHA-256 over the shape and RGB bytes of a picture, equal for a PIL image and its array.

    >>> import numpy as np
    >>> from PIL import Image
    >>> pixels = np.zeros((2, 3, 3), np.uint8)
    >>> content_key(pixels) == content_key(Image.fromarray(pixels)) != content_key(pixels.reshape(3, 2, 3))
    True
    """
    if isinstance(image, Image.Image):
        image = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    digest = hashlib.sha256(f"{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _compute(
    encoder: Encoder, images: Sequence[Image.Image | np.ndarray] | np.ndarray, kind: str, batch_size: int
) -> torch.Tensor:
    if kind == "embedding":
        return encoder.encode_images(images, batch_size)
    return encoder.features(images, kind, batch_size)


class _Store:
    """Rows of one encoder and kind in one SQLite file; whatever is wrong with it costs only recomputation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            columns = "key BLOB PRIMARY KEY, shape TEXT, checksum INTEGER, value BLOB"
            connection.execute(f"CREATE TABLE IF NOT EXISTS rows ({columns})")
            yield connection
        finally:
            connection.close()

    def read(self, keys: list[bytes]) -> dict[bytes, np.ndarray]:
        if not self.path.exists():
            return {}
        found: dict[bytes, np.ndarray] = {}
        damaged = 0
        try:
            with self._open() as connection:
                for start in range(0, len(keys), LOOKUP_SIZE):
                    part = keys[start : start + LOOKUP_SIZE]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, shape, checksum, value FROM rows WHERE key IN ({marks})"
                    for key, shape, checksum, value in connection.execute(query, part):
                        array = _unpack(key, shape, checksum, value)
                        if array is None:
                            damaged += 1
                        else:
                            found[key] = array
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
        if damaged:
            warnings.warn(f"{damaged} damaged rows in {self.path} are computed again", stacklevel=3)
        return found

    def write(self, rows: dict[bytes, np.ndarray]) -> None:
        records = [_pack(key, value) for key, value in rows.items()]
        for attempt in range(2):
            try:
                with self._open() as connection:
                    # Taking the write lock at once lets a second writer wait instead of failing half-way.
                    connection.execute("BEGIN IMMEDIATE")
                    connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", records)
                    connection.execute("COMMIT")
                return
            except sqlite3.DatabaseError as error:
                if attempt or not self._set_aside(error):
                    warnings.warn(f"embeddings were not kept in {self.path}: {error}", stacklevel=3)
                    return

    def _set_aside(self, error: sqlite3.DatabaseError) -> bool:
        """Move a damaged file away and say so; a lock or full disk is no damage. Return whether it moved."""
        if isinstance(error, sqlite3.OperationalError):
            warnings.warn(f"embedding cache {self.path} cannot be used now: {error}", stacklevel=4)
            return False
        warnings.warn(
            f"embedding cache {self.path} is damaged ({error}); it is set aside and computed again", stacklevel=4
        )
        # A journal left behind would be played back into the new file.
        self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.path.replace(self.path.with_suffix(".damaged"))
        return True


def _pack(key: bytes, value: np.ndarray) -> tuple[bytes, str, int, bytes]:
    data = np.ascontiguousarray(value, dtype="<f4").tobytes()
    return key, ",".join(map(str, value.shape)), zlib.crc32(key + data), data


def _unpack(key: bytes, shape: str, checksum: int, data: bytes) -> np.ndarray | None:
    try:
        if zlib.crc32(key + data) != checksum:
            return None
        array = np.frombuffer(data, dtype="<f4").reshape([int(side) for side in shape.split(",")])
    except (ValueError, TypeError, AttributeError):
        return None
    return array.astype(np.float32)
