"""The image with everything, as `docker run` starts it."""

import httpx
import pytest

from tests.containers.stand_in import MODEL
from tests.support.containers import HARDENED, ROOT, container, docker, inspected, two_ports, wait_until_healthy
from tests.support.eventually import until

CONFIGURATION = ROOT / "deploy" / "compose" / "config"


@pytest.fixture
def ports():
    return two_ports()


def options(ports, network, *more):
    gateway, admin = ports
    published = ("--publish", f"127.0.0.1:{gateway}:8800", "--publish", f"127.0.0.1:{admin}:8801")
    return (*HARDENED, *published, "--network", network, "--env", "OLLAMA_BASE_URL=http://ollama:11434", *more)


@pytest.mark.parametrize(
    "mounted",
    [pytest.param((), id="the preset"), pytest.param(("--volume", f"{CONFIGURATION}:/etc/tollgate:ro"), id="a folder")],
)
def test_it_serves_read_only_and_without_root(mounted, images, with_stand_in, ports, token, bearer):
    more = ("--env", f"GATEWAY_BEARER_TOKEN={token}", *mounted)
    with container(images["tollgate"], options=options(ports, with_stand_in, *more)) as name:
        wait_until_healthy(name)
        url = f"http://127.0.0.1:{ports[0]}/v1/models"

        assert httpx.get(url).status_code == 401
        until(lambda: [model["id"] for model in httpx.get(url, headers=bearer).json()["data"]] == [MODEL])
        assert httpx.get(f"http://127.0.0.1:{ports[1]}/health").status_code == 200
        assert docker("exec", name, "id", "-u") == "10001"
        assert "Read-only file system" in docker("exec", name, "touch", "/opt/x", check=False)

        docker("stop", "--time", "30", name)
        assert inspected(name)["State"]["ExitCode"] == 0, docker("logs", name)


def test_without_a_token_it_refuses_to_start(images, with_stand_in, ports):
    with container(images["tollgate"], options=options(ports, with_stand_in)) as name:
        docker("wait", name)

        assert inspected(name)["State"]["ExitCode"] == 1
        assert "GATEWAY_BEARER_TOKEN" in docker("logs", name)


@pytest.mark.parametrize("image", ["tollgate", "tollgate-envoy", "tollgate-python"])
def test_an_image_has_no_compiler_no_root_and_no_settings_of_an_index(image, images):
    about = inspected(images[image])
    history = docker("history", "--no-trunc", images[image])

    assert about["Config"]["User"] == "10001:10001"
    assert about["Config"]["Labels"]["org.opencontainers.image.version"] == images[image].partition(":")[2]
    assert not [word for word in ("PIP_INDEX_URL", "PIP_CERT=", "index-url") if word in history]
    found = docker("run", "--rm", "--entrypoint", "sh", images[image], "-c", "command -v gcc cc make git; true")
    assert found == ""
    assert docker("run", "--rm", "--entrypoint", "sh", images[image], "-c", "ls /run/secrets 2>/dev/null; true") == ""


def test_a_command_is_one_of_the_command_line(images):
    version = images["tollgate"].partition(":")[2]

    assert docker("run", "--rm", images["tollgate"], "version") == version
