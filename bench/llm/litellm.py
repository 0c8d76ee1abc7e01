"""LiteLLM beside the gateway, installed apart: its packages are none of ours. Its version is part of each result."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import yaml

from bench.llm.asks import MODEL, THEIR_MODEL
from bench.llm.calls import Place
from bench.llm.ground import Ground
from bench.load import LoadFailed
from bench.processes import running_process
from service_kit.settings import environment
from tests.support.ports import free_port

VERSION = "1.106.2"
PACKAGE = f"litellm[proxy]=={VERSION}"
INSTALL_SECONDS = 600
NAME = "litellm"


@contextmanager
def running_litellm(ground: Ground) -> Iterator[tuple[Place, Mapping[str, int]]]:
    """Where it will serve, with which key, and its processes; it may not serve yet."""
    program = installed(ground.cache)
    port, key = free_port(), f"sk-{token_hex(24)}"
    file = ground.folder / "litellm.yaml"
    file.write_text(yaml.safe_dump(config(ground, key)), encoding="utf-8")
    command = [str(program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environ = {
        **environment(), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    with running_process(command, environ, ground.folder / "litellm.log") as pid:
        yield Place(port, key), {NAME: pid}


def config(ground: Ground, key: str) -> dict[str, object]:
    """The same model of the same provider."""
    target = {"model": f"openai/{THEIR_MODEL}", "api_base": f"{ground.provider_url}/v1", "api_key": "none"}
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": target}],
        "general_settings": {"master_key": key},
    }


def installed(cache: Path) -> Path:
    """Its program in a virtual environment of its own, made where it is not there; LoadFailed says why not."""
    folder = cache / f"litellm-{VERSION}"
    done = folder / ".whole"
    if not done.exists():
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", PACKAGE)
        done.touch()
    return folder / "bin" / "litellm"


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    if ended.returncode != 0:
        reason = (ended.stderr.strip() or "no reason told").splitlines()[-1]
        raise LoadFailed(f"{PACKAGE} cannot be installed ({reason}); leave it out with --without litellm")
