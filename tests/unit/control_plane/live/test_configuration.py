"""A good change goes live, a bad one changes nothing and is seen."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from control_plane.config.errors import InvalidConfig
from control_plane.publication.outcome import Outcome
from control_plane.xds.names import ROUTES_TYPE
from service_kit.contract import AUTHZ_POLICY_TYPE
from tests.support.compiled import config, route, snapshots
from tests.support.envoy import envoy_binary
from tests.support.eventually import eventually
from tests.support.live import World, hearing, refusal
from tests.support.live import world as world_of

GOOD = config(routes=[route()])
BETTER = config(routes=[route(), route("more", "/more")])
INVALID = "version: 1\nlisteners: {public: {address: 127.0.0.1:8800}}\nrutes: []\n"
# An Envoy that refuses whatever holds this word.
PICKY = "#!/bin/sh\nif grep -q unwanted \"$4\"; then echo '[x] Envoy dislikes it' >&2; exit 1; fi\n"


def world(folder: Path, content: Any = None, envoy: Path | None = None) -> World:
    return world_of(folder, GOOD if content is None else content, envoy)


@asynccontextmanager
async def started(folder: Path, content: Any = None, envoy: Path | None = None) -> AsyncIterator[World]:
    found = world(folder, content, envoy)
    await found.live.start()
    found.clock.advance(60)
    yield found


def version(content: Any) -> str:
    return snapshots(content)[0].version(ROUTES_TYPE)


def picky_envoy(folder: Path) -> Path:
    binary = folder / "envoy"
    binary.write_text(PICKY)
    binary.chmod(0o700)
    return binary


@pytest.mark.parametrize("content", [INVALID, "", "[", config(routes=[route(upstream="gone")])])
async def test_an_invalid_first_configuration_is_an_error_and_publishes_nothing(tmp_path: Path, content: Any) -> None:
    found = world(tmp_path, content)

    with pytest.raises(InvalidConfig):
        await found.live.start()

    assert found.published.releases == []
    assert found.metric("tollgate_config_valid") == 0
    with pytest.raises(RuntimeError):
        _ = found.live.current


async def test_a_first_configuration_is_published(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        assert found.published.routes == [version(GOOD)]
        assert found.metric("tollgate_config_valid") == 1
        assert found.metric("tollgate_config_loads_total", result="live") == 1
        assert found.metric("tollgate_config_compile_seconds_count") == 1


async def test_a_change_goes_live(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        found.write(BETTER)
        await found.live.reload()

        assert found.published.routes == [version(GOOD), version(BETTER)]
        assert sorted(found.route_names) == ["email", "more"]
        assert found.live.status.since == found.clock.now()


async def test_a_change_of_nothing_publishes_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        since = found.live.status.since
        found.write({**GOOD, "routes": [route()]})
        await found.live.reload()

        assert len(found.published.releases) == 1
        assert found.live.status.since == since


async def test_a_fault_of_ours_costs_the_change_and_not_the_process(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        found.published.broken = RuntimeError("a fault")
        found.write(BETTER)
        await found.live.reload()
        assert "the compiler failed, please report it: RuntimeError('a fault')" in found.live.status.errors[0]
        assert found.route_names == ["email"]

        found.published.broken = None
        await found.live.reload()
        assert found.live.status.errors == ()
        assert sorted(found.route_names) == ["email", "more"]


async def test_what_a_service_refuses_is_shown_with_the_file(tmp_path: Path) -> None:
    async with started(tmp_path) as found, hearing(found.live):
        found.write(BETTER)
        await found.live.reload()
        good, bad = found.published.releases
        found.news.put_nowait(Outcome(bad, (), (refusal(AUTHZ_POLICY_TYPE, "a key is too short"),), good))
        await eventually(lambda: found.live.status.errors)

        (error,) = found.live.status.errors
        assert error.startswith(f"{tmp_path}/gateway.yaml:")
        assert "a key is too short" in error
        assert found.route_names == ["email"]
        assert found.metric("tollgate_config_valid") == 0


async def test_an_invalid_change_keeps_the_last_good_one_and_is_seen(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        since = found.live.status.since
        found.write(INVALID)
        await found.live.reload()

        assert (found.route_names, len(found.published.releases)) == (["email"], 1)
        error = f"{tmp_path}/gateway.yaml:3:1: unknown key 'rutes' (rutes); did you mean 'routes'?"
        assert (found.live.status.since, found.live.status.errors) == (since, (error,))
        assert found.metric("tollgate_config_valid") == 0
        assert found.metric("tollgate_config_loads_total", result="rejected") == 1
        logged = json.loads(found.logs.getvalue().splitlines()[-1])
        assert (logged["level"], logged["error"]) == ("error", error)


@pytest.mark.parametrize("cure", [pytest.param(GOOD, id="back-to-what-was"), pytest.param(BETTER, id="something-else")])
async def test_a_good_change_clears_the_errors(tmp_path: Path, cure: Any) -> None:
    async with started(tmp_path) as found:
        found.write(INVALID)
        await found.live.reload()
        found.write(cure)
        await found.live.reload()

        assert found.live.status.errors == ()
        assert found.metric("tollgate_config_valid") == 1
        assert found.published.routes[-1] == version(cure)


async def test_a_file_that_vanishes_keeps_the_last_good_one(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        (tmp_path / "gateway.yaml").unlink()
        await found.live.reload()

        assert found.route_names == ["email"]
        assert "there is no such file" in found.live.status.errors[0]


async def test_a_moved_admin_address_is_an_error_at_its_place(tmp_path: Path) -> None:
    async with started(tmp_path) as found:
        found.write({**BETTER, "admin": {"address": "127.0.0.1:9999"}})
        await found.live.reload()

        (error,) = found.live.status.errors
        assert "the admin address is 127.0.0.1:8801 and cannot move" in error
        assert "(admin.address); restart the control plane to move it" in error
        line = (tmp_path / "gateway.yaml").read_text().splitlines().index("  address: 127.0.0.1:9999") + 1
        assert error.startswith(f"{tmp_path}/gateway.yaml:{line}:12: ")
        assert found.route_names == ["email"]


async def test_a_change_that_envoy_refuses_keeps_the_last_good_one(tmp_path: Path) -> None:
    async with started(tmp_path, envoy=picky_envoy(tmp_path)) as found:
        found.write(config(routes=[route("unwanted")]))
        await found.live.reload()

        assert (found.route_names, len(found.published.releases)) == (["email"], 1)
        (error,) = found.live.status.errors
        assert error.startswith(f"{tmp_path}/gateway.yaml:9:3: route 'unwanted': Envoy refuses it: Envoy dislikes it")
        assert found.metric("tollgate_config_valid") == 0

        found.write(BETTER)
        await found.live.reload()

        assert found.live.status.errors == ()
        assert found.published.routes == [version(GOOD), version(BETTER)]


async def test_a_first_configuration_that_envoy_refuses_is_an_error(tmp_path: Path) -> None:
    found = world(tmp_path, config(routes=[route("unwanted")]), picky_envoy(tmp_path))

    with pytest.raises(InvalidConfig, match="Envoy dislikes it"):
        await found.live.start()

    assert found.published.releases == []


async def test_an_envoy_that_vanishes_keeps_the_last_good_one(tmp_path: Path) -> None:
    binary = picky_envoy(tmp_path)
    async with started(tmp_path, envoy=binary) as found:
        binary.unlink()
        found.write(BETTER)
        await found.live.reload()

        assert found.route_names == ["email"]
        assert "cannot run" in found.live.status.errors[0]


async def test_the_real_envoy_is_asked(tmp_path: Path) -> None:
    async with started(tmp_path, envoy=envoy_binary()) as found:
        found.write(BETTER)
        await found.live.reload()

        assert found.published.routes == [version(GOOD), version(BETTER)]


async def test_the_files_to_watch_are_those_that_may_matter(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    jwks = tmp_path / "jwks.json"
    issuer = {
        "name": "a", "issuer": "https://a.example.com", "audiences": ["g"], "algorithms": ["ES256"],
        "keys": {"file": "jwks.json"},
    }  # fmt: skip
    async with started(tmp_path) as found:
        assert set(found.live.files) == {file}

        found.write({**GOOD, "identity": {"jwt": [issuer]}})
        await found.live.reload()  # the file is missing: its appearance may be the cure
        assert found.live.status.errors
        assert set(found.live.files) == {file, jwks}

        jwks.write_text("{}")
        await found.live.reload()  # it is there and wrong: its change may be the cure
        assert found.live.status.errors
        assert set(found.live.files) == {file, jwks}

        found.write(GOOD)
        await found.live.reload()
        assert set(found.live.files) == {file}


async def test_what_envoy_refuses_is_cured_by_a_file_it_names(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-in-a-file-of-its-own")
    identity = {"bearer_tokens": [{"name": "a", "token": "file:token"}]}
    async with started(tmp_path, envoy=picky_envoy(tmp_path)) as found:
        found.write({**config(routes=[route("unwanted")]), "identity": identity})
        await found.live.reload()

        assert "Envoy refuses it" in found.live.status.errors[0]
        assert found.live.files.keys() == {tmp_path / "gateway.yaml", token}
