"""The control plane as a process: its settings, and how it begins and ends."""

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.admin.gather import Target
from control_plane.admin.token import FILE_NAME
from control_plane.config.errors import InvalidConfig
from control_plane.main import parts
from control_plane.settings import settings
from control_plane.xds.names import CLUSTER_TYPE
from service_kit.clock import SystemClock
from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from service_kit.settings import TlsFiles
from tests.support.audit import in_folder
from tests.support.compiled import config, private, route, written
from tests.support.eventually import eventually
from tests.support.fake_envoy import fake_envoy, names
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
NEEDED = ("c.yaml", "--xds", "unix:/x", "--authz", "unix:/a", "--ratelimit", "unix:/r")


def test_settings_of_the_command_line() -> None:
    found = settings(
        (*NEEDED, "--state-dir", "/s", "--envoy-binary", "/envoy", "--scrape", "authz=unix:/m", "--scrape", "r=h:1",
         "--envoy-admin", "unix:/e"), {},
    )  # fmt: skip

    assert (found.config, found.state_dir, found.envoy_binary) == (Path("c.yaml"), Path("/s"), Path("/envoy"))
    assert found.xds == UnixEndpoint(Path("/x"))
    assert (found.wiring.authz, found.wiring.ratelimit) == (UnixEndpoint(Path("/a")), UnixEndpoint(Path("/r")))
    assert found.targets == (
        Target("authz", UnixEndpoint(Path("/m"))),
        Target("r", TcpEndpoint("h", 1)),
        Target("envoy", UnixEndpoint(Path("/e")), "/stats/prometheus"),
    )


def test_settings_of_the_environment() -> None:
    environ = {
        "TOLLGATE_XDS": "unix:/x", "TOLLGATE_AUTHZ": "unix:/a", "TOLLGATE_RATELIMIT": "r.svc:9",
        "TOLLGATE_TLS_CERTIFICATE": "c", "TOLLGATE_TLS_PRIVATE_KEY": "k", "TOLLGATE_TLS_AUTHORITY": "a",
    }  # fmt: skip
    found = settings(["c.yaml"], environ)

    assert found.tls == found.wiring.tls == TlsFiles(Path("c"), Path("k"), Path("a"))
    assert found.wiring.ratelimit == TcpEndpoint("r.svc", 9)
    assert (found.envoy_binary, found.targets, found.wiring.access_log) == (None, (), "/dev/stdout")


def test_tokens_are_issued_on_a_socket_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings(NEEDED, {}).wiring.oauth is None
    assert settings((*NEEDED, "--oauth", "unix:/o"), {}).wiring.oauth == UnixEndpoint(Path("/o"))

    with pytest.raises(SystemExit):
        settings((*NEEDED, "--oauth", "127.0.0.1:1"), {})
    assert "in the clear" in capsys.readouterr().err


def test_the_translator_is_a_service_that_a_gateway_may_lack(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings(NEEDED, {}).wiring.translator is None
    assert settings((*NEEDED, "--translator", "unix:/t"), {}).wiring.translator == UnixEndpoint(Path("/t"))

    with pytest.raises(SystemExit):
        settings((*NEEDED, "--translator", "127.0.0.1:1"), {})
    assert "in the clear" in capsys.readouterr().err


def test_quotas_are_asked_for_where_limits_are_unless_another_place_is_named() -> None:
    elsewhere = settings((*NEEDED, "--ratelimit-admin", "unix:/q"), {})

    assert settings(NEEDED, {}).ratelimit_admin == settings(NEEDED, {}).wiring.ratelimit
    assert elsewhere.ratelimit_admin == UnixEndpoint(Path("/q"))
    assert elsewhere.wiring.ratelimit != elsewhere.ratelimit_admin


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param(None, None, id="default"),
        pytest.param("", None, id="empty"),
        pytest.param("0", 0.0, id="never"),
        pytest.param("45m", 2700.0, id="minutes"),
    ],
)
def test_the_age_of_connections(text: str | None, seconds: float | None) -> None:
    environ = {} if text is None else {"TOLLGATE_MAX_CONNECTION_AGE": text}

    assert settings(NEEDED, environ).connection_age == seconds


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(NEEDED[:-2], "--ratelimit is missing", id="no-limiter"),
        pytest.param((*NEEDED, "--scrape", "unix:/m"), "--scrape NAME=ADDRESS is missing", id="scrape-without-name"),
        pytest.param((*NEEDED, "--scrape", "a=nowhere"), "'nowhere' is no address", id="scrape-of-no-address"),
        pytest.param(
            (*NEEDED, "--authz", "a.svc:9"), "--authz a.svc:9: requests would carry", id="service-in-the-clear"
        ),
        pytest.param((*NEEDED, "--tls-certificate", "c"), "mutual TLS needs", id="half-a-tls"),
        pytest.param((*NEEDED, "--max-connection-age", "30"), "write 500ms, 30s", id="an-age-without-a-unit"),
        pytest.param((*NEEDED, "--max-connection-age", "25h"), "write 1s to 1d, or 0", id="an-age-too-long"),
        pytest.param((*NEEDED, "--max-connection-age", "1ms"), "write 1s to 1d, or 0", id="an-age-too-short"),
    ],
)
def test_wrong_usage(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        settings(argv, {})

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def folder() -> Iterator[Path]:
    """Shorter than tmp_path: a socket path is 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="cp") as name:
        yield Path(name)


def command(folder: Path) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "control_plane", str(folder / "gateway.yaml"), "--xds", f"unix:{folder}/xds.sock",
        "--authz", f"unix:{folder}/a.sock", "--ratelimit", f"unix:{folder}/r.sock", "--state-dir", f"{folder}/state",
    )  # fmt: skip


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command(folder), cwd=ROOT, stderr=log)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_it_serves_follows_the_file_and_stops_when_asked(folder: Path) -> None:
    port = free_port()
    content: dict[str, Any] = config(admin={"address": f"127.0.0.1:{port}"}, routes=[route()])
    written(folder, content)
    async with running(folder) as process:
        await eventually((folder / "xds.sock").exists, within=20)
        async with fake_envoy(UnixEndpoint(folder / "xds.sock")) as envoy:
            await envoy.subscribe(CLUSTER_TYPE)
            assert "email" in names(await envoy.take(within=20))

            content["upstreams"]["more"] = {"url": "http://127.0.0.1:9002"}
            written(folder, content)
            assert names(await envoy.take()) == ["more"]

        token = (folder / "state" / FILE_NAME).read_text().strip()
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"authorization": f"Bearer {token}"}
            status = await client.get(f"http://127.0.0.1:{port}/status", headers=headers)
        assert status.json()["configuration"]["errors"] == []
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0


@pytest.mark.parametrize("pepper", [{"pepper": "p" * 32}, {}], ids=["its-own", "generated"])
async def test_a_generated_pepper_that_cannot_be_read(folder: Path, pepper: dict[str, str]) -> None:
    """It stops nobody who names one; whoever needs it is told where it is."""
    (folder / "state" / "key_pepper").mkdir(parents=True)
    written(folder, config(identity={"api_keys": pepper}, routes=[private(auth=["api_key"])]))
    chosen = settings(command(folder)[3:], {})
    made = parts(chosen, {}, SystemClock(), structlog.get_logger(), CollectorRegistry())
    try:
        if pepper:
            await made.live.start()
            assert made.live.status.errors == ()
        else:
            with pytest.raises(InvalidConfig, match=r"key_pepper: Is a directory .*; make it readable, or write"):
                await made.live.start()
    finally:
        await made.stored.close()
        made.history.close()


async def test_signing_keys_that_were_made_unasked_are_told_of(folder: Path) -> None:
    written(folder, config(identity={"tokens": {"issuer": "https://gateway.example.com", "audiences": ["email"]}}))
    chosen = settings((*command(folder)[3:], "--oauth", "unix:/o"), {})
    made = parts(chosen, {}, SystemClock(), structlog.get_logger(), CollectorRegistry())
    try:
        await made.live.start()
        (key,) = await made.stored.signing.current()
        await made.trail.close()
    finally:
        await made.stored.close()
        made.history.close()

    told = in_folder(folder / "state")[-1]
    assert (told.actor, told.action, told.object) == ("gateway", "signing_keys.rotate", "signing keys")
    assert (told.new, told.result) == ({"made": [key.id]}, "done")


def test_an_invalid_first_configuration_ends_it_with_the_mistakes(folder: Path) -> None:
    file = written(folder, "version: 2\n")

    result = subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 1
    assert f"{file}:1:" in result.stderr
    assert "Traceback" not in result.stderr
