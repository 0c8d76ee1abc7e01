"""Envoys without a control plane, with the very flags that `tollgate run` gives to its own."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from string import Template

from bench.processes import running_process
from control_plane.xds.access_log import FIELDS
from service_kit.settings import environment
from tollgate_cli.supervisor import processes
from tollgate_cli.supervisor.layout import layout

FILES = Path(__file__).parent / "envoy"


def running_envoy(binary: Path, bootstrap: Path) -> AbstractContextManager[int]:
    """The process id of an Envoy with this bootstrap; it may not serve yet."""
    place = layout(bootstrap.parent)
    spec = processes.envoy(
        processes.Gateway(
            config=None, layout=place, envoy_binary=binary, environ=environment(), control_plane=place.sockets.xds
        )
    )
    command = [str(bootstrap) if part == str(place.bootstrap) else part for part in spec.command]
    return running_process([*command, "-l", "error"])


def written_bootstrap(folder: Path, name: str, template: str, values: Mapping[str, object]) -> Path:
    """A bootstrap of `bench/envoy` with its variables filled in, each value as JSON, which is YAML."""
    text = Template((FILES / template).read_text(encoding="utf-8"))
    file = folder / f"{name}.yaml"
    file.write_text(text.substitute({key: json.dumps(value) for key, value in values.items()}), encoding="utf-8")
    return file


def access_log(path: Path) -> list[object]:
    """The log that a compiled listener writes, as YAML has it."""
    config = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"json_format": FIELDS},
    }
    return [{"name": "envoy.access_loggers.file", "typed_config": config}]
