"""Which configuration a gateway begins with: the file's, or the one of its history that the control plane will take.

The control plane decides (LiveConfiguration.start); what starts it must know the same listeners to wait for.
"""

from collections.abc import Mapping
from pathlib import Path

import typer

from control_plane.checked import Checked, Checker
from control_plane.config.errors import InvalidConfig
from control_plane.history.database import HistoryUnavailable
from control_plane.history.history import FILE_NAME, History
from control_plane.reader import Reader
from service_kit.clock import SystemClock


def beginning(config: Path | None, environ: Mapping[str, str], state_dir: Path) -> Checked:
    """What will be live first, said on stderr where it is not the file; InvalidConfig where there is nothing."""
    reader = Reader(config, environ, Checker())
    file = state_dir / FILE_NAME
    if config is None or not file.exists():
        return reader.read()
    history = History(file, clock=SystemClock(), warn=_say)
    try:
        return _rolled_back(reader, history, config) or _read_or_last_good(reader, history, config)
    finally:
        history.close()


def _rolled_back(reader: Reader, history: History, config: Path) -> Checked | None:
    try:
        pin = history.pinned()
        texts = None if pin is None or pin.source_digest != reader.digest() else history.texts(pin.number)
        found = reader.of_texts(config, texts) if texts else None
    except (HistoryUnavailable, InvalidConfig):
        return None  # the control plane says why
    if pin is not None and found is not None:
        _say(f"rolled back to entry {pin.number} of the history: {config} is not live until it changes")
    return found


def _read_or_last_good(reader: Reader, history: History, config: Path) -> Checked:
    try:
        return reader.read()
    except InvalidConfig as error:
        found = _last_good(reader, history, config)
        if found is None:
            raise
        _say(str(error))
        _say(f"{config} is broken: starting with the last good configuration of the history")
        return found


def _last_good(reader: Reader, history: History, config: Path) -> Checked | None:
    try:
        inputs = history.last_good()
        return None if inputs is None or inputs.path != config else reader.of_inputs(inputs)
    except (HistoryUnavailable, InvalidConfig):
        return None


def _say(text: str) -> None:
    typer.echo(text, err=True)
