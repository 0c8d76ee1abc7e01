"""How much memory Envoy's heap may take."""

import os
from pathlib import Path

import pytest

from tollgate_cli.supervisor.memory import SizeError, envoy_memory

MIB = 1 << 20
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def written(root: Path, **files: str) -> Path:
    """A stand-in for / with these files; `__` stands for `/`."""
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("DOT", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("64MiB", 64 * MIB, id="smallest"),
        pytest.param("65536KiB", 64 * MIB, id="kib"),
        pytest.param("2GiB", 2048 * MIB, id="gib"),
    ],
)
def test_the_operator_decides(text: str, expected: int, tmp_path: Path) -> None:
    root = written(tmp_path, proc__self__cgroup="0::/", sys__fs__cgroup__memoryDOTmax=str(32 * MIB))

    assert envoy_memory({"TOLLGATE_ENVOY_MEMORY": text}, root) == expected


@pytest.mark.parametrize("text", ["63MiB", "0MiB", "512", "512mb", "1.5GiB", "-1GiB", "lots", " 1GiB", "1GiB\n"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(SizeError, match="such as 512MiB or 2GiB"):
        envoy_memory({"TOLLGATE_ENVOY_MEMORY": text})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, MACHINE // 2, id="no-limit"),
        pytest.param(
            {"proc__self__cgroup": "0::/", "sys__fs__cgroup__memoryDOTmax": "max"}, MACHINE // 2, id="limit-of-max"
        ),
        pytest.param(
            {"proc__self__cgroup": "0::/", "sys__fs__cgroup__memoryDOTmax": f"{512 * MIB}\n"}, 256 * MIB, id="container"
        ),
        pytest.param(
            {
                "proc__self__cgroup": "0::/a.slice/b",
                "sys__fs__cgroup__aDOTslice__b__memoryDOTmax": "max",
                "sys__fs__cgroup__aDOTslice__memoryDOTmax": str(400 * MIB),
            },
            200 * MIB,
            id="of-an-outer-group",
        ),
        pytest.param(
            {
                "proc__self__cgroup": "7:memory:/a\n0::/a",
                "sys__fs__cgroup__memory__a__memoryDOTlimit_in_bytes": str(300 * MIB),
                "sys__fs__cgroup__memory__memoryDOTlimit_in_bytes": "9223372036854771712",
            },
            150 * MIB,
            id="version-1",
        ),
        pytest.param(
            {"proc__self__cgroup": "7:memory:/docker/x", "sys__fs__cgroup__memory__memoryDOTlimit_in_bytes": str(MIB)},
            64 * MIB,
            id="never-less-than-the-smallest",
        ),
    ],
)
def test_a_half_of_what_there_is(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    assert envoy_memory({}, written(tmp_path, **files)) == expected
