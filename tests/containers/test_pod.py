"""The pod of the Kubernetes manifests, without Kubernetes: its containers as they are written there, in one network.

What the kubelet does is done by hand: volumes, the swap of a mounted ConfigMap, probes, and hooks before the end.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers.stand_in import PASSED_ON, WORDS
from tests.support.containers import HARDENED, ROOT, container, docker, inspected, succeeds, two_ports, unique
from tests.support.eventually import until
from tests.support.manifests import Manifests, loaded
from tests.support.manifests.configuration import SECRET, environ

FOLDER = ROOT / "deploy" / "kubernetes"
BEARER = {"authorization": f"Bearer {SECRET}"}
STARTS_WITHIN = 60.0
ASK_STORE = """
import socket, sys
with socket.create_connection(("127.0.0.1", 6379)) as store:
    store.sendall(sys.argv[1].encode())
    print(store.recv(99))
"""
Ask = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


class ConfigurationFolder:
    """A mounted ConfigMap: its files are links through `..data`, which one rename lets point to other ones."""

    def __init__(self, path: Path, files: Mapping[str, str]) -> None:
        self.path = path
        self.files = files
        self._version = 0
        path.mkdir()
        self.publish(files)
        for name in files:
            (path / name).symlink_to(f"..data/{name}")

    def publish(self, files: Mapping[str, str]) -> None:
        self._version += 1
        version = self.path / f"..version_{self._version}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        (self.path / "..data_tmp").symlink_to(version.name)
        (self.path / "..data_tmp").rename(self.path / "..data")


class Pod:
    """The running containers of a workload by their names in it."""

    def __init__(self, spec: Mapping[str, Any], names: Mapping[str, str], ports: Mapping[int, int]) -> None:
        self.spec = spec
        self.names = names
        self.ports = ports

    def url(self, port: int) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def probe(self, one: Mapping[str, Any], name: str) -> bool:
        """Whether the container's probe succeeds, asked as its kind says."""
        match one[name]:
            case {"httpGet": {"path": path, "port": port}}:
                return self._tollgate_health("control-plane", "http", f"http://127.0.0.1:{_number(one, port)}{path}")
            case {"grpc": {"port": port}}:
                return self._tollgate_health("control-plane", "grpc", f"127.0.0.1:{port}")
            case {"exec": {"command": command}}:
                return succeeds("exec", self.names[one["name"]], *command)
        raise AssertionError(one[name])

    def _tollgate_health(self, inside: str, *arguments: str) -> bool:
        return succeeds("exec", self.names[inside], "tollgate", "health", *arguments)

    def end(self) -> None:
        """As the kubelet ends a pod: every container at once, its hook first."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._end_one, self.spec["containers"]))

    def _end_one(self, one: Mapping[str, Any]) -> None:
        if "lifecycle" in one:
            docker("exec", self.names[one["name"]], *one["lifecycle"]["preStop"]["exec"]["command"])
        docker("stop", "--time", self.spec["terminationGracePeriodSeconds"], self.names[one["name"]])


def _number(one: Mapping[str, Any], port: int | str) -> int:
    return next(int(own["containerPort"]) for own in one["ports"] if port in (own["name"], own["containerPort"]))


@contextmanager
def started(one: Mapping[str, Any], images: Mapping[str, str], *options: object) -> Iterator[str]:
    """A container of a pod, as its manifest says."""
    variables = [f"--env={name}={value}" for name, value in environ(one).items()]
    entrypoint, *arguments = [*one.get("command", []), *one.get("args", [])] if "command" in one else ["", *one["args"]]
    chosen = ("--entrypoint", entrypoint) if entrypoint else ()
    image = images[one["image"].partition(":")[0]]
    with container(
        image, *arguments, options=(*HARDENED, "--user", "10001:10001", *variables, *chosen, *options)
    ) as name:
        yield name


@contextmanager
def volumes(pod: Mapping[str, Any], configuration: Path) -> Iterator[Mapping[str, str]]:
    """What is mounted for each volume."""
    made = {volume["name"]: unique(volume["name"]) for volume in pod["volumes"] if "emptyDir" in volume}
    try:
        yield {**made, "configuration": f"{configuration}"}
    finally:
        for name in made.values():
            docker("volume", "rm", "--force", name, check=False)


@pytest.fixture
def manifests() -> Manifests:
    return loaded(FOLDER)


@pytest.fixture
def configuration(manifests: Manifests, tmp_path: Path) -> ConfigurationFolder:
    document = manifests.named("ConfigMap", "tollgate-configuration")
    assert document is not None
    tmp_path.chmod(0o755)
    return ConfigurationFolder(tmp_path / "configuration", document["data"])


@pytest.fixture
def pod(manifests: Manifests, images, with_stand_in, configuration: ConfigurationFolder) -> Iterator[Pod]:
    gateway, store = (workload.spec for workload in manifests.pods)
    ports = dict(zip((8800, 8801), two_ports(), strict=True))
    published = [f"--publish=127.0.0.1:{host}:{port}" for port, host in ports.items()]
    with ExitStack() as stack:
        where = ("--network", with_stand_in, "--network-alias", "tollgate-store", "--volume", "/var/lib/tollgate")
        stack.enter_context(started(store["containers"][0], images, *where))
        sources = stack.enter_context(volumes(gateway, configuration.path))
        pause = stack.enter_context(
            container(images["tollgate-python"], "sleep", "infinity", options=("--network", with_stand_in, *published))
        )
        names = {
            one["name"]: stack.enter_context(
                started(one, images, f"--network=container:{pause}", *_mounts(one, sources))
            )
            for one in gateway["containers"]
        }
        yield Pod(gateway, names, ports)


def _mounts(one: Mapping[str, Any], sources: Mapping[str, str]) -> list[str]:
    return [
        f"--volume={sources[mount['name']]}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}"
        for mount in one["volumeMounts"]
    ]


def status(url: str) -> int:
    return httpx.get(url, headers=BEARER).status_code


def test_the_pod_starts_serves_follows_its_configuration_and_ends_without_losing_a_request(pod, configuration):
    for one in pod.spec["containers"]:
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            until(lambda one=one, name=name: pod.probe(one, name), seconds=STARTS_WITHIN)
    url = pod.url(8800)
    assert httpx.get(f"{url}/v1/models").status_code == 401
    assert status(f"{url}/v1/models") == 200
    until(lambda: succeeds("exec", pod.names["control-plane"], "tollgate", "status"))
    assert 'process="ratelimit"' in httpx.get(f"{pod.url(8801)}/metrics").text

    configuration.publish({name: text + PASSED_ON for name, text in configuration.files.items()})
    until(lambda: status(f"{url}/v2/models") == 200)

    with httpx.stream("GET", f"{url}/v2/slow", headers=BEARER, timeout=60) as answer, ThreadPoolExecutor() as pool:
        words = answer.iter_lines()
        first = next(words)
        ending = pool.submit(pod.end)
        # the listener still takes connections while Services have not noticed
        until(lambda: status(f"{url}/readyz") == 503)
        assert status(f"{url}/v2/models") == 200
        assert (answer.status_code, [first, *words]) == (200, [str(number) for number in range(WORDS)])
        ending.result()
    assert '"path":"/v2/slow"' in docker("logs", pod.names["ledger"])
    assert {name: inspected(found)["State"]["ExitCode"] for name, found in pod.names.items()} == dict.fromkeys(
        pod.names, 0
    )


def test_the_store_wants_its_password_and_is_ready(manifests, images, with_stand_in):
    (store,) = manifests.pods[1].containers
    with started(store, images, "--network", with_stand_in, "--volume", "/var/lib/tollgate") as name:
        until(lambda: succeeds("exec", name, *store["readinessProbe"]["exec"]["command"]))

        assert "NOAUTH" in docker("exec", name, "python", "-c", ASK_STORE, "GET x\r\n")
        assert "+OK" in docker("exec", name, "python", "-c", ASK_STORE, f"AUTH {SECRET}\r\n")
        assert SECRET not in docker("exec", name, "cat", "/proc/1/cmdline")
        docker("stop", "--time", "10", name)
        assert inspected(name)["State"]["ExitCode"] == 0
