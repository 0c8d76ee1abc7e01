"""The last configurations: what each was made of, how it went, and all that the last good one needs to be made again.

The texts of every entry are kept, which may hold secrets; secret files and variables of the last good configuration
alone. Every call blocks, may come from any thread, and raises nothing but HistoryUnavailable.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from control_plane.config.inputs import Inputs
from control_plane.history.contents import as_bytes, as_text, forget_unused, kept_files, unpacked
from control_plane.history.database import Answer, Database, HistoryUnavailable, Work
from control_plane.history.entries import Entry, NodeResult, Pin, Result
from service_kit.clock import Clock

FILE_NAME: Final = "history.sqlite"
KEPT: Final = 100
# Nodes come and go under one configuration, and an Envoy may say much; characters.
MOST_NODES: Final = 5_000
LONGEST_REASON: Final = 4_096
# Rows of files by what they belong to.
CONTENT: Final = (
    "SELECT name, contents.digest, packed FROM {} JOIN files ON file = files.id JOIN contents ON content = contents.id"
)


class History:
    """The configurations there were; `warn` is told of a database that was damaged and is begun anew."""

    def __init__(self, file: Path, *, kept: int = KEPT, clock: Clock, warn: Callable[[str], None]) -> None:
        self._kept = kept
        self._clock = clock
        self._database = Database(file, warn)

    def accepted(self, source: str, checked_inputs: Inputs, digest: str, result: Result, held: Sequence[str]) -> int:
        """The number of this configuration, from 1 on; one with the content of the newest entry is that entry."""

        def work(db: sqlite3.Connection) -> int:
            newest = db.execute("SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1").fetchone()
            if newest is not None and newest[1] == digest:
                number = int(newest[0])
            else:
                number = _new_entry(db, self._clock.now(), source, checked_inputs, digest)
            _decide(db, number, checked_inputs, result, held)
            _trim(db, self._kept)
            return number

        return self._run(work, changes=True, fold=True)

    def decided(self, number: int, checked_inputs: Inputs, result: Result, held: Sequence[str]) -> None:
        """Corrects the result of an entry, once its nodes have judged it."""

        def work(db: sqlite3.Connection) -> None:
            if _is_there(db, number):
                _decide(db, number, checked_inputs, result, held)
                _trim(db, self._kept)

        self._run(work, changes=True, fold=True)

    def judged(self, number: int, node: str, accepted: bool, reason: str) -> None:  # noqa: FBT001 - one verdict, in words
        """Remembers what this node says of the entry now."""
        self.all_judged(number, [(node, accepted, reason)])

    def all_judged(self, number: int, verdicts: Iterable[tuple[str, bool, str]]) -> None:
        """Remembers what these nodes say of the entry now, in one step."""
        at = self._clock.now()
        rows = [(number, _shown(node), accepted, _shown(reason), at) for node, accepted, reason in verdicts]

        def work(db: sqlite3.Connection) -> None:
            if _is_there(db, number):
                _keep_verdicts(db, number, rows)

        self._run(work, changes=True)

    def entries(self, limit: int) -> tuple[Entry, ...]:
        """The newest entries, the newest first."""
        return self._run(lambda db: _entries(db, "1 ORDER BY number DESC LIMIT ?", max(limit, 0)))

    def entry(self, number: int) -> Entry | None:
        return self._run(lambda db: next(iter(_entries(db, "number = ?", number)), None))

    def texts(self, number: int) -> Mapping[str, bytes] | None:
        """The configuration's own files by name; none are those of the environment's preset."""
        return self._run(lambda db: _texts(db, number) if _is_there(db, number) else None)

    def last_good(self) -> Inputs | None:
        """All that was read for the newest configuration that was live in whole."""
        return self._run(_last_good)

    def pin(self, number: int | None, source_digest: str) -> None:
        """Goes back to the entry while the source has this digest, and keeps the entry; None ends that."""
        at = self._clock.now()

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM pin")
            if number is None:
                return
            if not _is_there(db, number):
                raise HistoryUnavailable(f"there is no entry {number}")
            db.execute("INSERT INTO pin VALUES (?, ?, ?)", (number, source_digest, at))

        self._run(work, changes=True, fold=True)

    def pinned(self) -> Pin | None:
        row = self._run(lambda db: db.execute("SELECT entry, source_digest, at FROM pin").fetchone())
        return None if row is None else Pin(*row)

    def close(self) -> None:
        self._database.close()

    def _run(self, work: Work[Answer], *, changes: bool = False, fold: bool = False) -> Answer:
        return self._database.run(work, changes=changes, fold=fold)


def _new_entry(db: sqlite3.Connection, at: float, source: str, inputs: Inputs, digest: str) -> int:
    path = None if inputs.path is None else as_bytes(str(inputs.path))
    row = (at, _shown(source), path, digest, Result.SENT, "[]")
    columns = "at, source, path, digest, result, held"
    cursor = db.execute(f"INSERT INTO entries ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608 - constants
    number = int(cursor.lastrowid or 0)
    files = kept_files(db, inputs.texts)
    db.executemany("INSERT INTO entry_files VALUES (?, ?)", ((number, file) for file in files))
    return number


def _decide(db: sqlite3.Connection, number: int, inputs: Inputs, result: Result, held: Sequence[str]) -> None:
    told = json.dumps([_shown(part) for part in held])
    db.execute("UPDATE entries SET result = ?, held = ? WHERE number = ?", (Result(result), told, number))
    good = db.execute("SELECT max(entry) FROM good").fetchone()[0] or 0
    if result == Result.LIVE and number >= good:
        _forget_good(db)
        _keep_good(db, number, inputs)
    elif result == Result.REFUSED and number == good:
        _forget_good(db)


def _forget_good(db: sqlite3.Connection) -> None:
    for table in ("good", "good_files", "good_variables"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - constants


def _keep_good(db: sqlite3.Connection, number: int, inputs: Inputs) -> None:
    db.execute("INSERT INTO good VALUES (?)", (number,))
    db.executemany("INSERT INTO good_files VALUES (?)", ((file,) for file in kept_files(db, inputs.referenced)))
    variables = ((as_bytes(name), as_bytes(value)) for name, value in inputs.variables.items())
    db.executemany("INSERT INTO good_variables VALUES (?, ?)", variables)


def _last_good(db: sqlite3.Connection) -> Inputs | None:
    row = db.execute("SELECT number, path FROM good JOIN entries ON entry = number").fetchone()
    if row is None:
        return None
    number, path = row
    variables = db.execute("SELECT name, value FROM good_variables").fetchall()
    return Inputs(
        None if path is None else Path(as_text(path)),
        _by_path(_texts(db, number)),
        _by_path(unpacked(db.execute(CONTENT.format("good_files")))),
        {as_text(name): as_text(value) for name, value in variables},
    )


def _by_path(files: Mapping[str, bytes]) -> Mapping[Path, bytes]:
    return {Path(name): content for name, content in files.items()}


def _texts(db: sqlite3.Connection, number: int) -> Mapping[str, bytes]:
    return unpacked(db.execute(f"{CONTENT.format('entry_files')} WHERE entry = ?", (number,)))


def _is_there(db: sqlite3.Connection, number: int) -> bool:
    return db.execute("SELECT 1 FROM entries WHERE number = ?", (number,)).fetchone() is not None


def _entries(db: sqlite3.Connection, chosen: str, argument: int) -> tuple[Entry, ...]:
    columns = "number, at, source, digest, result, held"
    rows = db.execute(f"SELECT {columns} FROM entries WHERE {chosen}", (argument,)).fetchall()  # noqa: S608 - constants
    return tuple(
        Entry(number, at, source, digest, Result(result), tuple(json.loads(held)), _nodes(db, number))
        for number, at, source, digest, result, held in rows
    )


def _nodes(db: sqlite3.Connection, number: int) -> tuple[NodeResult, ...]:
    rows = db.execute("SELECT node, accepted, reason, at FROM verdicts WHERE entry = ? ORDER BY node", (number,))
    return tuple(NodeResult(node, bool(accepted), reason, at) for node, accepted, reason, at in rows)


def _keep_verdicts(db: sqlite3.Connection, number: int, rows: Sequence[tuple[object, ...]]) -> None:
    """Where a node says the same as before nothing is written, so that the time is that of its first saying so."""
    db.executemany(
        "INSERT INTO verdicts (entry, node, accepted, reason, at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (entry, node) DO UPDATE SET accepted = excluded.accepted, reason = excluded.reason,"
        " at = excluded.at WHERE accepted != excluded.accepted OR reason != excluded.reason",
        rows,
    )
    if db.execute("SELECT count(*) FROM verdicts WHERE entry = ?", (number,)).fetchone()[0] > MOST_NODES:
        oldest = "SELECT node FROM verdicts WHERE entry = ?1 ORDER BY at DESC, node LIMIT -1 OFFSET ?2"
        db.execute(f"DELETE FROM verdicts WHERE entry = ?1 AND node IN ({oldest})", (number, MOST_NODES))  # noqa: S608 - constants


def _trim(db: sqlite3.Connection, kept: int) -> None:
    """Drops what is too old; never what is pinned, nor the newest good one, which is there to go back to."""
    db.execute(
        "DELETE FROM entries WHERE number NOT IN (SELECT number FROM entries ORDER BY number DESC LIMIT ?)"
        " AND number NOT IN (SELECT entry FROM pin) AND number NOT IN (SELECT entry FROM good)"
        " AND number IS NOT (SELECT max(number) FROM entries WHERE result = ?)",
        (max(kept, 1), Result.LIVE),
    )
    forget_unused(db)


def _shown(text: str) -> str:
    """The text as it can be shown, no longer than is of use."""
    return text[:LONGEST_REASON].encode("utf-8", "backslashreplace").decode()
