"""The quickstart's own secrets: made on the first run, kept for the next ones where only their owner reads them."""

import json
import os
from pathlib import Path
from secrets import token_urlsafe

FILE = "quickstart.json"
VARIABLES = ("TOLLGATE_QUICKSTART_SECRET", "TOLLGATE_QUICKSTART_TOKEN")
BYTES = 48


def quickstart_secrets(state_dir: Path) -> dict[str, str]:
    """The environment variables that the gateway's configuration names."""
    path = state_dir / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        kept = {}
    wanted = {name: kept.get(name) or token_urlsafe(BYTES) for name in VARIABLES}
    if wanted != kept:
        _write(path, wanted)
    return wanted


def _write(path: Path, content: dict[str, str]) -> None:
    """Replaces the file in one step, unreadable to others from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
    new.replace(path)
