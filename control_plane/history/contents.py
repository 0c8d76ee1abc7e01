"""Files in the history: a content is kept once, packed, whichever names and entries have it, as long as one does."""

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from control_plane.config.files import digest_of

ALIVE = "EXISTS (SELECT 1 FROM entry_files WHERE file = id) OR EXISTS (SELECT 1 FROM good_files WHERE file = id)"


def kept_files(db: sqlite3.Connection, files: Mapping[Path, bytes]) -> list[int]:
    """The ids of these files, which are in the history from now on."""
    return [_file(db, as_bytes(str(file)), _content(db, content)) for file, content in files.items()]


def unpacked(rows: Iterable[tuple[bytes, bytes, bytes]]) -> dict[str, bytes]:
    """Files by name, of rows with name, digest and packed content; ValueError where one is not what was kept."""
    files: dict[str, bytes] = {}
    for name, digest, packed in rows:
        try:
            content = zlib.decompress(packed)
        except zlib.error as error:
            raise ValueError(f"{as_text(name)}: {error}") from error
        if digest_of(content) != digest:
            raise ValueError(f"{as_text(name)} is not what was kept")
        files[as_text(name)] = content
    return files


def forget_unused(db: sqlite3.Connection) -> None:
    """Deletes what no entry and no last good configuration has any more."""
    db.execute(f"DELETE FROM files WHERE NOT ({ALIVE})")  # noqa: S608 - a constant of this module
    db.execute("DELETE FROM contents WHERE NOT EXISTS (SELECT 1 FROM files WHERE content = contents.id)")


def as_bytes(text: str) -> bytes:
    """Any text, names of files and variables that are not UTF-8 too."""
    return text.encode("utf-8", "surrogatepass")


def as_text(value: bytes) -> str:
    return str(value, "utf-8", "surrogatepass")


def _content(db: sqlite3.Connection, content: bytes) -> int:
    digest = digest_of(content)
    row = db.execute("SELECT id FROM contents WHERE digest = ?", (digest,)).fetchone()
    if row is not None:
        return int(row[0])
    return _new(db.execute("INSERT INTO contents (digest, packed) VALUES (?, ?)", (digest, zlib.compress(content))))


def _file(db: sqlite3.Connection, name: bytes, content: int) -> int:
    row = db.execute("SELECT id FROM files WHERE content = ? AND name = ?", (content, name)).fetchone()
    if row is not None:
        return int(row[0])
    return _new(db.execute("INSERT INTO files (name, content) VALUES (?, ?)", (name, content)))


def _new(cursor: sqlite3.Cursor) -> int:
    return int(cursor.lastrowid or 0)
