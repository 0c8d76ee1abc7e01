"""Keys of issuers while a configuration is live: another set is another configuration, whatever the file says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from control_plane.publication.outcome import Outcome
from control_plane.server.status import NodeVerdict
from control_plane.snapshot import Release
from control_plane.xds.names import ROUTES, ROUTES_TYPE
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE, ENVOY_NODE_CLUSTER
from tests.support.authz import jwks, rsa_jwk
from tests.support.compiled import config, route
from tests.support.eventually import eventually
from tests.support.key_sets import Published
from tests.support.live import World, hearing, refusal, world
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

URL = "https://keys.example.com/jwks"
OTHER = "https://keys.example.com/other"
BROKEN = "version: 1\nroutes: [\n"


def content(url: str = URL, **changes: Any) -> dict[str, Any]:
    accounts = {"name": "accounts", "issuer": "https://a.example.com", "audiences": ["g"], "algorithms": ["RS256"]}
    keys = {"url": url, "refresh": "1s"}
    return config(identity={"jwt": [{**accounts, "keys": keys}]}, **{"routes": [route()], **changes})


def one_key(kid: str = "k1") -> Published:
    return Published({URL: jwks(rsa_jwk(kid)), OTHER: jwks(rsa_jwk("k9"))})


@asynccontextmanager
async def started(folder: Path, documents: Published, written: Any = None) -> AsyncIterator[World]:
    """A live configuration that hears of key sets."""
    found = world(folder, content() if written is None else written, documents=documents)
    fetching = asyncio.create_task(found.live._outside.key_sets.run())
    try:
        await found.live.start()
        async with hearing(found.live):
            yield found
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


def issuer(release: Release) -> policy_pb.JwtIssuer:
    policy = release.policies.of(AUTHZ_POLICY_TYPE)[AUTHZ_POLICY_NAME].body
    return policy_pb.AuthzPolicy.FromString(policy).jwt[0]


def kids(found: World) -> list[str]:
    """The keys that were published last."""
    text = issuer(found.published.releases[-1]).jwks
    return [key["kid"] for key in json.loads(text)["keys"]] if text else []


async def taken(found: World) -> None:
    """An Envoy runs what was published last: it is the last good configuration."""
    release = found.published.releases[-1]
    found.news.put_nowait(
        Outcome(release, (NodeVerdict(ENVOY_NODE_CLUSTER, "e", "", settled=True, refusals=()),), (), None)
    )
    await eventually(lambda: found.live._is_taken)
    await eventually(lambda: found.news.empty() and not found.live._busy.locked())


async def test_the_first_configuration_goes_live_with_its_keys(tmp_path: Path):
    async with started(tmp_path, one_key()) as found:
        assert [kids(found), len(found.published.releases)] == [["k1"], 1]


async def test_without_keys_an_issuer_is_live_all_the_same(tmp_path: Path):
    async with started(tmp_path, Published({})) as found:
        policy = issuer(found.published.releases[0])

        assert (policy.fetched, policy.WhichOneof("keys")) == (True, None)


async def test_other_keys_are_another_configuration(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        number = found.live.status.number
        envoy = found.published.releases[0].envoy
        documents.documents[URL] = jwks(rsa_jwk("k2"))
        await eventually(lambda: kids(found) == ["k2"])

        await eventually(lambda: found.live.status.number != number)
        assert found.published.releases[-1].envoy == envoy


async def test_other_keys_go_live_though_the_file_is_broken(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        found.write(BROKEN)
        await found.live.reload()
        documents.documents[URL] = jwks(rsa_jwk("k2"))
        await eventually(lambda: kids(found) == ["k2"])

        assert found.live.status.errors


async def test_keys_that_could_not_go_live_are_mended_by_the_next(tmp_path: Path):
    """And by them alone: what is wrong with the file is shown beside, and stays."""
    documents = one_key()
    async with started(tmp_path, documents) as found:
        found.write(BROKEN)
        await found.live.reload()
        of_file = found.live.status.errors
        found.published.broken = RuntimeError("a fault")
        documents.documents[URL] = jwks(rsa_jwk("k2"))
        await eventually(lambda: len(found.live.status.errors) > len(of_file))
        assert found.live.status.errors[: len(of_file)] == of_file
        assert "a fault" in found.live.status.errors[-1]

        found.published.broken = None
        documents.documents[URL] = jwks(rsa_jwk("k3"))
        await eventually(lambda: kids(found) == ["k3"])
        await eventually(lambda: found.live.status.errors == of_file)

        found.write(content())
        await found.live.reload()
        assert found.live.status.errors == ()


async def test_keys_that_consumers_refuse_are_mended_by_the_next(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        good = found.live.published.release
        documents.documents[URL] = jwks(rsa_jwk("k2"))
        await eventually(lambda: kids(found) == ["k2"] and found.live.published.release is not good)
        refused = refusal(ROUTES_TYPE, "no", ROUTES)
        found.news.put_nowait(Outcome(found.live.published.release, (), (refused,), good))
        await eventually(lambda: bool(found.live.status.errors))

        documents.documents[URL] = jwks(rsa_jwk("k3"))
        await eventually(lambda: kids(found) == ["k3"])

        await eventually(lambda: found.live.status.errors == ())


async def test_a_rollback_does_not_bring_keys_back(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        number = found.live.status.number
        documents.documents[URL] = jwks(rsa_jwk("k2"))
        await eventually(lambda: kids(found) == ["k2"])
        found.write(content(routes=[route(), route("more", "/more")]))
        await found.live.reload()

        await found.live.roll_back(number)

        assert (found.route_names, kids(found)) == (["email"], ["k2"])


async def test_a_rolled_back_configuration_gets_new_keys(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        number = found.live.status.number
        found.write(content(routes=[route("more", "/more")]))
        await found.live.reload()
        await found.live.roll_back(number)

        documents.documents[URL] = jwks(rsa_jwk("k2"))
        await eventually(lambda: kids(found) == ["k2"])

        assert found.route_names == ["email"]
        assert found.live.status.rolled_back is not None


async def test_another_url_goes_live_with_its_own_keys(tmp_path: Path):
    """There is no moment in which the issuer has none."""
    async with started(tmp_path, one_key()) as found:
        found.write(content(OTHER))
        await found.live.reload()

        assert [len(found.published.releases), kids(found)] == [2, ["k9"]]


async def test_a_start_with_a_broken_file_goes_on_with_the_keys_of_today(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        await taken(found)
    documents.documents[URL] = jwks(rsa_jwk("k2"))
    (tmp_path / "key_sets").rename(tmp_path / "lost")

    async with started(tmp_path, documents, BROKEN) as found:
        assert kids(found) == ["k2"]


async def test_a_restart_without_the_issuer_changes_nothing(tmp_path: Path):
    async with started(tmp_path, one_key()) as found:
        await eventually(lambda: list((tmp_path / "key_sets").glob("*")))
        before, number = found.published.releases[-1], found.live.status.number

    async with started(tmp_path, Published({})) as found:
        assert found.published.releases[-1] == before
        assert found.live.status.number == number


async def test_two_replicas_serve_the_same(tmp_path: Path):
    """Whatever order their copies of the set are in."""
    keys = [rsa_jwk("k1"), rsa_jwk("k2"), rsa_jwk("k3", x5c=["MIIB"])]
    releases = []
    for name, order in (("a", keys), ("b", keys[::-1])):
        (tmp_path / name).mkdir()
        async with started(tmp_path / name, Published({URL: jwks(*order)})) as found:
            releases.append(found.published.releases[-1].policies.version(AUTHZ_POLICY_TYPE))

    assert releases[0] == releases[1]


async def test_what_is_gone_back_to_gets_new_keys(tmp_path: Path):
    documents = one_key()
    async with started(tmp_path, documents) as found:
        first = found.live.status.number
        found.write(content(OTHER))
        await found.live.reload()
        good = found.live.published.release
        await found.live.roll_back(first)
        assert kids(found) == ["k1"]

        refused = refusal(ROUTES_TYPE, "no", ROUTES)
        found.news.put_nowait(Outcome(found.live.published.release, (), (refused,), good))
        await eventually(lambda: found.live.status.rolled_back is None)
        documents.documents[OTHER] = jwks(rsa_jwk("k10"))

        await eventually(lambda: kids(found) == ["k10"])
