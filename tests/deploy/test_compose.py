"""The compose file: what each service gives up, how its health is asked, and that our processes take their settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.compile import compile_file
from tests.support.manifests.configuration import SECRET, complaint, known_variables
from tollgate_cli.container.health import question

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
# YAML's merge keys are resolved by the reader: these are whole services.
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::?[-?][^}]*)?\}")
ENVOY = ["python3", "-m", "tollgate_cli.container", "run"]
HARDENED = {
    "user": "10001:10001",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "restart": "unless-stopped",
}


def grace(service: dict[str, Any]) -> int:
    return int(service["stop_grace_period"].removesuffix("s"))


@pytest.fixture(params=sorted(SERVICES))
def service(request) -> dict[str, Any]:
    return SERVICES[request.param]


def test_it_gives_up_what_it_does_not_need(service):
    assert {key: service.get(key) for key in HARDENED} == HARDENED
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc"}


def test_it_is_bounded(service):
    limits = service["deploy"]["resources"]["limits"]

    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_its_health_is_asked_without_a_shell(service):
    test = service["healthcheck"]["test"]

    assert test[:4] == ["CMD", "python3", "-m", "tollgate_cli.container.health"]
    assert question(test[4:], {}) is not None


def test_envoy_is_asked_beside_what_it_serves():
    envoy = SERVICES["envoy"]

    assert envoy["healthcheck"]["test"][4:] == ["envoy", envoy["environment"]["TOLLGATE_ENVOY_ADMIN"]]


def test_its_image_can_be_another_one_and_has_a_version(service):
    assert re.fullmatch(r"\$\{TOLLGATE_[A-Z_]*IMAGE:-tollgate[a-z-]*:\d+\.\d+\.\d+\}", service["image"])


def test_its_volumes_are_declared(service):
    sources = [volume.partition(":")[0] for volume in service["volumes"]]

    assert {source for source in sources if not source.startswith("$")} <= COMPOSE["volumes"].keys()


def test_it_waits_for_health(service):
    for name, dependency in service.get("depends_on", {}).items():
        assert dependency == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[name]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "store"])
def test_its_settings_are_those_of_its_process(name):
    service = SERVICES[name]
    environ = {key: str(value) for key, value in service.get("environment", {}).items()}
    environ["TOLLGATE_LOG_LEVEL"] = "info"

    assert complaint(service.get("command", ENVOY), environ) is None
    settings = {key for key in environ if key.startswith("TOLLGATE_")} - {"TOLLGATE_ADMIN_TOKEN"}
    assert settings <= known_variables()


def test_who_has_no_business_on_a_network_has_none():
    assert {name for name, service in SERVICES.items() if service.get("network_mode") == "none"} == {
        *("authz", "ledger", "ratelimit", "store", "translator"),
    }
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"control-plane", "envoy"}


def test_envoy_has_longer_to_stop_than_its_drain():
    envoy = SERVICES["envoy"]

    assert grace(envoy) >= envoy["environment"]["TOLLGATE_DRAIN_PATIENCE"] + 10


def test_every_variable_that_must_be_set_is_in_the_example():
    text = (FOLDER / "compose.yaml").read_text()
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    example = set(re.findall(r"^([A-Z_]+)=", (FOLDER / "env.example").read_text(), re.MULTILINE))

    assert required <= example <= set(VARIABLE.findall(text))


def test_the_mounted_configuration_compiles_with_what_the_control_plane_is_given():
    given = SERVICES["control-plane"]["environment"]
    environ = {name: SECRET for name in given if not name.startswith("TOLLGATE_")}
    environ["OLLAMA_BASE_URL"] = "http://host.docker.internal:11434"

    compiled = compile_file(FOLDER / "config", environ)

    assert {str(address) for address in compiled.listeners.values()} == {"0.0.0.0:8800"}
    assert str(compiled.admin_address) == "0.0.0.0:8801"


def test_the_folder_of_the_configuration_is_mounted_and_not_a_file_of_it():
    (mount,) = [volume for volume in SERVICES["control-plane"]["volumes"] if volume.endswith(":ro")]

    assert mount == "${TOLLGATE_CONFIG:-./config}:/etc/tollgate:ro"
    assert (FOLDER / "config").is_dir()
