"""Generates tollgate_pb/ from protos/; `--check` fails where the committed files are not what it would generate."""

import filecmp
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tollgate_pb"


def generate(into: Path) -> None:
    """Writes the Python modules and their stubs, with imports rooted in tollgate_pb."""
    sources = sorted((ROOT / "protos").rglob("*.proto"))
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}",
            f"--python_out={into}", f"--pyi_out={into}", *map(str, sources),
        ],
        check=True,
    )  # fmt: skip
    for folder in (into, *(path for path in into.rglob("*") if path.is_dir())):
        (folder / "__init__.py").touch()


def differences(left: Path, right: Path) -> list[str]:
    """Relative names of files that are missing on one side or differ."""
    names = {
        path.relative_to(side)
        for side in (left, right)
        for path in side.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return sorted(
        str(name)
        for name in names
        if not ((left / name).is_file() and (right / name).is_file())
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    if "--check" not in sys.argv:
        generate(PACKAGE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        stale = differences(PACKAGE, Path(folder))
    for name in stale:
        print(f"tollgate_pb/{name} is not what protos/ generates: run `make gen`")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
