"""What was found last, on disk: a start goes on from it, as long as its grace lasts."""

from pathlib import Path
from typing import Final

from control_plane.discovery.listing import LARGEST_LISTING, Listing, read, written
from control_plane.polling.kept import KeptAnswers

FOLDER: Final = "models"


def kept_models(state_dir: Path) -> KeptAnswers[Listing]:
    """Lists by the name of their source."""
    return KeptAnswers(state_dir / FOLDER, written=written, read=read, largest=LARGEST_LISTING)
