"""Where a gateway's configuration comes from: a directory, a mounted ConfigMap, files of secrets, the environment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from control_plane.sources.files import SETTLED_AFTER
from tests.support.eventually import until
from tests.support.gateway import Gateway, gateway_on, with_addresses
from tests.support.upstream import Upstream

TOKEN = "a-bearer-token-for-tests"
FRESH = "another-bearer-token-of-tests"
BASE = {"identity": {"bearer_tokens": [{"name": "ops", "token": "file:token"}]}}


def routes(upstream: Upstream, *names: str, auth: Any = "none") -> dict:
    """A file of a team: its upstream and its routes."""
    first = names[0]
    return {
        "upstreams": {first: {"url": upstream.url}},
        "routes": [{"name": name, "match": {"path": f"/{name}"}, "upstream": first, "auth": auth} for name in names],
    }


def answers(gateway: Gateway, path: str, token: str = TOKEN) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{gateway.url}/{path}", headers=headers, trust_env=False, verify=False, timeout=10).status_code


def errors_of(gateway: Gateway) -> list[str]:
    return gateway.status()["configuration"]["errors"]


def put(file: Path, content: dict | str) -> None:
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))


def test_a_directory_is_followed_file_by_file(upstream: Upstream):
    def write(folder: Path, port: int, admin_port: int) -> Path:
        config = folder / "conf"
        config.mkdir()
        put(config / "00-gateway.yaml", with_addresses(BASE, port, admin_port))
        put(config / "token", TOKEN + "\n")
        put(config / "one.yaml", routes(upstream, "one"))
        return config

    with gateway_on(write) as gateway:
        config = gateway.folder / "conf"
        assert answers(gateway, "one") == 200

        put(config / "two.yaml", routes(upstream, "two", auth=["bearer"]))
        until(lambda: answers(gateway, "two") == 200)

        put(config / "three.yaml", routes(upstream, "two", "three"))
        three = config / "three.yaml"
        mistakes = until(lambda: errors_of(gateway))
        assert mistakes == [
            f"{config}/two.yaml:6:9: the name 'two' stands twice, first at {three}:5:9 (routes[3].name); rename one",
            f"{config}/two.yaml:9:3: the name 'two' stands twice, first at {three}:13:3 (upstreams.two); keep one",
        ]
        assert (answers(gateway, "two"), answers(gateway, "three")) == (200, 404)

        (config / "two.yaml").rename(config / "two.yaml.off")
        until(lambda: answers(gateway, "three") == 200)
        until(lambda: errors_of(gateway) == [])

        (config / "three.yaml").unlink()
        until(lambda: answers(gateway, "three") == 404)
        assert answers(gateway, "one") == 200

        gateway.kill("control_plane")
        put(config / "four.yml", routes(upstream, "four"))
        until(lambda: answers(gateway, "four") == 200)


@contextmanager
def mounted(upstream: Upstream, *, directory: bool) -> Iterator[Gateway]:
    """A gateway on a ConfigMap as the kubelet mounts it: links into `..data`, which is a link itself."""

    def write(folder: Path, port: int, admin_port: int) -> Path:
        mount = folder / "mount"
        for version, name, token in (("..1", "one", TOKEN), ("..2", "two", FRESH)):
            (mount / version).mkdir(parents=True)
            content = with_addresses(BASE, port, admin_port) | routes(upstream, name, auth=["bearer"])
            put(mount / version / "gateway.yaml", content)
            put(mount / version / "token", token)
        (mount / "..data").symlink_to("..1")
        for name in ("gateway.yaml", "token"):
            (mount / name).symlink_to(f"..data/{name}")
        return mount if directory else mount / "gateway.yaml"

    with gateway_on(write) as gateway:
        yield gateway


@pytest.mark.parametrize("directory", [True, False], ids=["the-mount", "a-file-in-it"])
def test_a_config_map_and_its_secret_are_swapped_as_one(upstream: Upstream, directory: bool):
    with mounted(upstream, directory=directory) as gateway:
        assert answers(gateway, "one") == 200

        mount = gateway.folder / "mount"
        (mount / "..data_tmp").symlink_to("..2")
        (mount / "..data_tmp").rename(mount / "..data")

        until(lambda: answers(gateway, "two", FRESH) == 200)
        assert (answers(gateway, "one", FRESH), answers(gateway, "two", TOKEN)) == (404, 401)
        assert errors_of(gateway) == []


def on_a_file(upstream: Upstream) -> Callable[[Path, int, int], Path]:
    def write(folder: Path, port: int, admin_port: int) -> Path:
        content = with_addresses(BASE, port, admin_port) | routes(upstream, "one", auth=["bearer"])
        put(folder / "gateway.yaml", content)
        put(folder / "token", TOKEN)
        return folder / "gateway.yaml"

    return write


def test_a_token_in_a_file_is_rotated_while_the_gateway_runs(upstream: Upstream):
    with gateway_on(on_a_file(upstream)) as gateway:
        assert (answers(gateway, "one", TOKEN), answers(gateway, "one", FRESH)) == (200, 401)

        put(gateway.folder / "token", FRESH)
        until(lambda: answers(gateway, "one", FRESH) == 200)
        assert answers(gateway, "one", TOKEN) == 401

        (gateway.folder / "token").unlink()
        (mistake,) = until(lambda: errors_of(gateway))
        assert "token: there is no such file (identity.bearer_tokens[0].token)" in mistake
        assert gateway.log("control_plane").count("configuration rejected") == 1
        assert answers(gateway, "one", FRESH) == 200

        put(gateway.folder / "token", TOKEN)
        until(lambda: answers(gateway, "one", TOKEN) == 200)
        assert FRESH not in gateway.log("control_plane")


def test_a_file_that_is_written_slowly_goes_live_whole_or_not_at_all(upstream: Upstream):
    """Every prefix that ends with a route is a valid configuration without the routes that are still to come."""
    names = [f"route-{number}" for number in range(6)]

    with gateway_on(on_a_file(upstream)) as gateway:
        content = yaml.safe_load(gateway.file.read_text())
        added = routes(upstream, "one", *names)["routes"][1:]
        content["routes"] = content.pop("routes")  # the last key: what follows it adds routes
        with gateway.file.open("w") as writer:
            writer.write(yaml.safe_dump(content, sort_keys=False))
            for route in added:
                writer.write(yaml.safe_dump([route]))
                writer.flush()
                time.sleep(2 * SETTLED_AFTER)
                assert answers(gateway, names[0]) == 404

        until(lambda: answers(gateway, names[0]) == 200)
        assert [answers(gateway, name) for name in names] == [200] * len(names)
        loads = [json.loads(line) for line in gateway.log("control_plane").splitlines() if "configuration live" in line]
        assert [load["routes"] for load in loads] == [1, 1 + len(names)]


def test_a_truncated_file_changes_nothing_and_heals(upstream: Upstream):
    with gateway_on(on_a_file(upstream)) as gateway:
        whole = gateway.file.read_text()

        put(gateway.file, whole[: len(whole) // 2])
        assert until(lambda: errors_of(gateway))
        assert answers(gateway, "one") == 200

        put(gateway.file, "")
        until(lambda: any("the file is empty" in error for error in errors_of(gateway)))
        assert answers(gateway, "one") == 200

        put(gateway.file, whole)
        until(lambda: not errors_of(gateway))
        assert answers(gateway, "one") == 200


@pytest.mark.parametrize("module", [("tollgate_cli", "run"), ("control_plane",)], ids=["tollgate-run", "control-plane"])
def test_without_a_token_nothing_starts(module: tuple[str, ...], tmp_path: Path):
    place = ("--state-dir", str(tmp_path / "state"))
    addresses = ("--xds", "unix:/x", "--authz", "unix:/a", "--ratelimit", "unix:/r")
    arguments = (*module, *place, *(addresses if module == ("control_plane",) else ()))
    environ = {name: value for name, value in os.environ.items() if name != "GATEWAY_BEARER_TOKEN"}

    ended = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, env=environ, timeout=60
    )

    assert ended.returncode == 1
    assert "environment: GATEWAY_BEARER_TOKEN: is not set" in ended.stderr
