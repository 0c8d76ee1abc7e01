"""What the real Envoy says of a snapshot, and what happens when it cannot be asked."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from envoy.config.route.v3 import route_pb2 as route_configuration_pb

from control_plane import compile as compiler
from control_plane.envoy_check import RUNTIME, Verdict, envoy_verdict, static_bootstrap
from control_plane.snapshot import Snapshot
from control_plane.xds import names
from tests.support import compiled as support
from tests.support.compiled import config, route, snapshots, with_resource
from tests.support.envoy import envoy_binary
from tests.support.eventually import eventually

CONFIG = config(
    upstreams={"email": {"url": "http://127.0.0.1:9001"}, "named": {"url": "http://backend.internal:80"}},
    routes=[route(rewrite="/v2"), route("named", "/named", upstream="named")],
)


@pytest.fixture(scope="module")
def compiled() -> Snapshot:
    return snapshots(CONFIG)[0]


def stand_in(folder: Path, script: str) -> Path:
    binary = folder / "envoy"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o700)
    return binary


async def test_what_is_compiled_is_accepted(compiled: Snapshot) -> None:
    assert await envoy_verdict(compiled, envoy_binary()) == Verdict(accepted=True, reason="")


async def test_the_folder_of_the_access_log_may_be_another_hosts(tmp_path: Path) -> None:
    """As in compose, whose control plane does not have it; and where it is there, nothing appears in it."""
    gateway = support.compiled(CONFIG).gateway
    for folder in (tmp_path / "nowhere", tmp_path):
        wiring = replace(support.WIRING, access_log=str(folder / "access.log"))

        verdict = await envoy_verdict(compiler.snapshots(gateway, wiring)[0], envoy_binary())

        assert verdict == Verdict(accepted=True, reason="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["bootstrap.yaml", "bootstrap-tls.yaml"])
def test_it_is_asked_with_the_runtime_that_it_runs_with(file: str) -> None:
    filled_in = re.sub(r"\$\{\w+\}", "x", Path("envoy", file).read_text())
    layers = yaml.safe_load(filled_in)["layered_runtime"]["layers"]

    assert layers == [{"name": "static", "static_layer": RUNTIME}]


async def test_the_largest_expressions_are_accepted() -> None:
    """Those that are made of the longest paths, and the largest that an admin may write."""
    templates = [
        route("template", f"/{'{a}/' + 'b' * 1000}", rewrite="/{a}"),
        route("prefix", f"/{'c' * 1000}/*", rewrite="/"),
        route("variables", "".join(f"/{{v{number}}}" for number in range(180))),
    ]
    written = {"path_regex": f"/{'a?' * 330}", "methods": ["GET"]}
    snapshot, _ = snapshots(config(routes=[*templates, {**route("regex"), "match": written}]))

    assert await envoy_verdict(snapshot, envoy_binary()) == Verdict(accepted=True, reason="")


async def test_a_refusal_is_told_in_envoys_own_words(compiled: Snapshot) -> None:
    configuration = route_configuration_pb.RouteConfiguration.FromString(
        compiled.of(names.ROUTES_TYPE)[names.ROUTES].body
    )
    written = next(item for item in configuration.virtual_hosts[0].routes if item.HasField("route"))
    written.route.regex_rewrite.pattern.regex = "("

    verdict = await envoy_verdict(
        with_resource(compiled, names.ROUTES_TYPE, names.ROUTES, configuration), envoy_binary()
    )

    assert not verdict.accepted
    assert "missing )" in verdict.reason
    assert "bootstrap.pb" not in verdict.reason
    assert not verdict.reason.startswith("[")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param("echo '[2026-01-01][critical] no such thing' >&2; exit 1", "no such thing", id="log-prefix"),
        pytest.param("echo noise >&2; echo the cause >&2; echo >&2; exit 1", "the cause", id="last-line-that-speaks"),
        pytest.param(
            "echo \"error initializing configuration '/tmp/x': bad regex\" >&2; exit 1", "bad regex", id="our-file"
        ),
        pytest.param("exit 1", "", id="silent"),
        pytest.param("kill -9 $$", "envoy --mode validate was ended by signal 9", id="killed"),
        pytest.param("printf '\\377\\n' >&2; exit 1", "\ufffd", id="not-utf-8"),
    ],
)
async def test_the_reason(compiled: Snapshot, tmp_path: Path, script: str, reason: str) -> None:
    assert await envoy_verdict(compiled, stand_in(tmp_path, script)) == Verdict(accepted=False, reason=reason)


async def test_a_binary_that_hangs_is_a_refusal(compiled: Snapshot, tmp_path: Path) -> None:
    verdict = await envoy_verdict(compiled, stand_in(tmp_path, "exec sleep 60"), seconds=0.1)

    assert (verdict.accepted, verdict.late) == (False, True)
    assert "gave no verdict" in verdict.reason


@pytest.mark.parametrize(
    "script",
    [
        pytest.param('sleep 60 & echo $! > "$0.pid"; wait', id="a-wrapper-of-envoy"),
        pytest.param('echo $$ > "$0.pid"; head -c 300000 /dev/zero >&2; exec sleep 60', id="who-says-much"),
    ],
)
async def test_nothing_of_a_binary_that_hangs_is_left(compiled: Snapshot, tmp_path: Path, script: str) -> None:
    verdict = await asyncio.wait_for(envoy_verdict(compiled, stand_in(tmp_path, script), 0.5), 20)

    assert "gave no verdict" in verdict.reason
    process = Path("/proc", (tmp_path / "envoy.pid").read_text().strip())
    await eventually(lambda: not process.exists() or " Z " in (process / "stat").read_text())


async def test_nobody_who_waits_leaves_no_envoy_behind(compiled: Snapshot, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    asked = asyncio.create_task(envoy_verdict(compiled, stand_in(tmp_path, f"echo $$ > {told}; exec sleep 60")))
    process = await eventually(lambda: told.exists() and told.read_text().strip(), within=20)

    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)

    assert not Path("/proc", process).exists()


async def test_a_binary_that_is_gone_is_a_refusal(compiled: Snapshot, tmp_path: Path) -> None:
    verdict = await envoy_verdict(compiled, tmp_path / "gone")

    assert verdict == Verdict(accepted=False, reason=f"cannot run {tmp_path}/gone: No such file or directory")


def test_nothing_is_left_to_discovery(compiled: Snapshot) -> None:
    bootstrap = static_bootstrap(compiled)

    static = bootstrap.static_resources
    assert {item.name: bool(item.load_assignment.endpoints) for item in static.clusters} == {
        "email": True, "named": True, names.AUTHZ_CLUSTER: True, names.RATELIMIT_CLUSTER: True,
    }  # fmt: skip
    assert b"ads" not in b"".join(item.eds_cluster_config.SerializeToString() for item in static.clusters)
    assert [item.name for item in static.listeners] == ["public"]
