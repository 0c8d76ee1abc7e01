"""The golden cases: configurations that compile, or are refused, and the environment they are read in."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from control_plane.config.files import configuration_files

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
# What is written is `in.yaml`, or a folder `in` of files.
CASES = sorted(path.parent for name in ("in.yaml", "in") for path in GOLDEN.rglob(name))
ENVIRON = {
    "JWT_SECRET": "a-secret-of-at-least-thirty-two-bytes",
    "BEARER_TOKEN": "a-bearer-token-for-tests",
    "TOLLGATE_KEY_PEPPER": "a-pepper-of-at-least-thirty-two-bytes",
    # Every machine has other authorities.
    "SSL_CERT_FILE": str(GOLDEN / "certificates" / "system.crt"),
}


def source(case: Path) -> Path:
    """The file or folder that an admin writes."""
    return case / "in" if (case / "in").is_dir() else case / "in.yaml"


def written(cases: Iterable[Path]) -> Iterator[Path]:
    """The YAML files of the cases."""
    for case in cases:
        yield from configuration_files(source(case))
