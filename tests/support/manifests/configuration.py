"""What our own processes make of it: their settings, and the configuration that is mounted for them."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from authz_service.main import parsed_settings as authz_settings
from control_plane.compile import compile_file
from control_plane.config.errors import InvalidConfig
from control_plane.settings import settings as control_plane_settings
from llm_translator.main import parsed_settings as translator_settings
from ratelimit_service.main import parsed_settings as ratelimit_settings
from tests.support.manifests.documents import Check, Manifests, Pod, containers
from tollgate_cli.container.__main__ import parsed as container_settings
from tollgate_cli.container.health import URL_VARIABLE
from tollgate_cli.usage import LEDGER_VARIABLE
from usage_ledger.main import parsed_settings as ledger_settings

ROOT = Path(__file__).resolve().parents[3]
PARSERS: Mapping[str, Callable[[Sequence[str], Mapping[str, str]], object]] = {
    "authz_service": authz_settings,
    "control_plane": control_plane_settings,
    "llm_translator": translator_settings,
    "ratelimit_service": ratelimit_settings,
    "tollgate_cli.container": container_settings,
    "usage_ledger": ledger_settings,
}
ENTRYPOINTS = {"tollgate-envoy": ("python3", "-m", "tollgate_cli.container")}
SETTING = re.compile(r'\bsetting\("--([a-z-]+)"')
SOURCES = ("service_kit/settings.py", "tollgate_cli/container/__main__.py", "control_plane/settings.py",
           "authz_service/main.py", "ratelimit_service/main.py", "ratelimit_service/store_settings.py",
           "usage_ledger/main.py")  # fmt: skip
# Stands for every Secret: whatever is long enough to be one.
SECRET = "0123456789abcdef0123456789abcdef"


def known_variables() -> frozenset[str]:
    """The variables that are settings of a process."""
    flags = (flag for source in SOURCES for flag in SETTING.findall((ROOT / source).read_text()))
    return frozenset({URL_VARIABLE, LEDGER_VARIABLE, *("TOLLGATE_" + flag.upper().replace("-", "_") for flag in flags)})


def environ(container: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a container, where a Secret has a value of enough bytes, and nothing that is optional."""
    found: dict[str, str] = {}
    for variable in container.get("env", []):
        if variable.get("valueFrom", {}).get("secretKeyRef", {}).get("optional"):
            continue
        value = str(variable.get("value", SECRET))
        found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda matched: found.get(matched[1], matched[0]), value)
    return found


def command(container: Mapping[str, Any]) -> tuple[str, ...]:
    """What the container runs, its image's entrypoint included where that is ours to know."""
    start = container.get("command") or ENTRYPOINTS.get(container["image"].partition(":")[0], ())
    return (*start, *container.get("args", []))


def complaint(program: Sequence[str], variables: Mapping[str, str]) -> str | None:
    """What the parser of one of our modules says against a command; None where it takes it, or where it is not ours."""
    if len(program) < 3 or program[1] != "-m":
        return None
    if program[2] not in PARSERS:
        return f"there is no module {program[2]}"
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            PARSERS[program[2]](program[3:], variables)
    except SystemExit:
        return said.getvalue().strip().splitlines()[-1]
    return None


def settings(manifests: Manifests, _folder: Path) -> Iterator[str]:
    known = known_variables() | {"TOLLGATE_ADMIN_TOKEN"}  # which the configuration refers to
    for where, _pod, container in containers(manifests):
        variables = environ(container)
        if said := complaint(command(container), variables):
            yield f"{where}: {said}"
        if said := complaint(_pre_stop(container), variables):
            yield f"{where}: preStop: {said}"
        for name in variables:
            if name.startswith("TOLLGATE_") and name not in known:
                yield f"{where}: no process has the setting {name}"


def _pre_stop(container: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ()))


def mounted_configuration(manifests: Manifests, folder: Path) -> Iterator[str]:
    """The folder that the control plane is told to read is mounted, compiles, and listens where the pod says."""
    for where, pod, container in containers(manifests):
        program = command(container)
        if "control_plane" not in program:
            continue
        path = program[program.index("control_plane") + 1]
        files = _files(manifests, pod, container, path)
        if not files:
            yield f"{where}: {path} is mounted from nowhere"
        else:
            yield from _not_live(where, pod, _written(folder / "configuration", files), environ(container))


def _files(manifests: Manifests, pod: Pod, container: Mapping[str, Any], path: str) -> Mapping[str, str]:
    """What is in the folder at this path of the container, where a ConfigMap is mounted there."""
    mounted = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}
    for volume in pod.spec.get("volumes", []):
        document = manifests.named("ConfigMap", volume.get("configMap", {}).get("name", ""))
        if document is not None and mounted.get(volume["name"]) == path:
            items = volume["configMap"].get("items")
            taken = {item["key"]: item["path"] for item in items} if items else {key: key for key in document["data"]}
            return {path: document["data"][key] for key, path in taken.items() if key in document["data"]}
    return {}


def _written(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def _not_live(where: str, pod: Pod, path: Path, variables: Mapping[str, str]) -> Iterator[str]:
    try:
        compiled = compile_file(path, variables)
    except InvalidConfig as error:
        yield f"{where}: the configuration does not compile: {error}"
        return
    for address in (*compiled.listeners.values(), compiled.admin_address):
        if address.host != "0.0.0.0":
            yield f"{where}: nobody outside the pod reaches {address}"
        if not pod.has_port(address.port):
            yield f"{where}: the configuration listens on {address.port}, which no container declares"


CHECKS: tuple[Check, ...] = (settings, mounted_configuration)
