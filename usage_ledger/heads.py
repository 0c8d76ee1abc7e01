"""The end of a chain, kept outside of the database: without it nobody could tell that the last rows are gone.

It is kept in a file beside the logs, told in the process's own log now and then, and printed by `tollgate usage head`
for whoever keeps it elsewhere.
"""

import json
from pathlib import Path
from typing import Any

from service_kit.private_files import replace_private
from usage_ledger.book import Head

HEAD_NAME = "ledger.head"


class BadHeads(ValueError):  # noqa: N818 - what the file is
    """A file that holds no ends of chains."""


def keep(file: Path, head: Head) -> None:
    """Puts this end in place of the one before."""
    replace_private(file, (json.dumps(as_json(head)) + "\n").encode())


def as_json(head: Head) -> dict[str, Any]:  # Any: JSON
    return {"writer": head.writer, "seq": head.seq, "hash": head.hash.hex()}


def read(text: str) -> tuple[Head, ...]:
    """The ends in a text, one JSON object a line; BadHeads where it holds something else."""
    try:
        found = (json.loads(line) for line in text.splitlines() if line.strip())
        return tuple(Head(str(item["writer"]), int(item["seq"]), bytes.fromhex(item["hash"])) for item in found)
    except (ValueError, KeyError, TypeError) as error:
        raise BadHeads(f"not ends of chains, one JSON object a line: {error!r}") from error
