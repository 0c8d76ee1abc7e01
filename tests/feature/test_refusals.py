"""Refused releases: what all refuse is taken back, however late the word comes, and what one refuses is its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from control_plane.publication import publisher as publishing
from control_plane.publication.outcome import Outcome
from control_plane.publication.publisher import Publisher
from control_plane.server.types import SERVICES
from control_plane.snapshot import Release, Resource, Snapshot, resource, snapshot
from control_plane.xds.names import CLUSTER_TYPE, LISTENER_TYPE, ROUTES_TYPE, SECRET_TYPE
from service_kit.contract import AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE
from tests.support.eventually import eventually
from tests.support.fake_envoy import FakeEnvoy, fake_envoy, names
from tests.support.xds import ControlPlane, cluster, control_plane, listener, publisher, routes, secret

IN_USE = "Error adding/updating listener(s) front: cannot bind '127.0.0.1:80': Address already in use\n"


def release(*resources: Resource, policies: Snapshot | None = None, **route_to: str) -> Release:
    """Routes, the clusters they name, and whatever else Envoys are told."""
    clusters = (cluster(name) for name in sorted(set(route_to.values())))
    return Release(snapshot([*clusters, routes("r", **route_to), *resources]), policies or snapshot([]))


def policy(content: str) -> Snapshot:
    return snapshot([resource(AUTHZ_POLICY_TYPE, "authz", content.encode())])


@dataclass
class Fleet:
    """A control plane, its publisher, and the Envoys that a test connects."""

    xds: ControlPlane
    releases: Publisher
    stack: AsyncExitStack
    outcomes: list[Outcome]
    connected: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def publish(self, item: Release) -> None:
        self.releases.publish(item)
        await self.releases.published()

    async def envoy(self, node: str, **options: Any) -> FakeEnvoy:
        """A new Envoy that has asked for clusters and routes, and judged nothing."""
        self.connected[node] = await self.stack.enter_async_context(AsyncExitStack())
        found = await self.connected[node].enter_async_context(fake_envoy(self.xds.endpoint, node=node, **options))
        await found.subscribe(CLUSTER_TYPE)
        return found

    async def leave(self, node: str) -> None:
        await self.connected[node].aclose()
        await eventually(lambda: node not in {status.node for status in self.xds.ads.statuses()})

    async def running(self, node: str, **options: Any) -> FakeEnvoy:
        """A new Envoy that runs what is served."""
        found = await self.envoy(node, **options)
        await found.take()
        await found.subscribe(ROUTES_TYPE, "r")
        await found.take()
        await eventually(lambda: self.verdict(node).settled)
        return found

    def verdict(self, node: str) -> Any:
        return next(item for item in self.xds.ads.verdicts("tollgate-envoy") if item.node == node)

    def sent(self, node: str) -> dict[str, str]:
        """What a node was sent, by type; it is answered in the order in which it asks."""
        found = (item.types for item in self.xds.ads.statuses() if item.node == node)
        return {type_url: item.sent for types in found for type_url, item in types.items()}

    @property
    def refused(self) -> list[tuple[str, list[str]]]:
        """The outcomes by the version of their routes, with who refused."""
        return [
            (version(item.release), [refusal.node for refusal in item.refused])
            for item in self.outcomes
            if item.refused
        ]


def version(item: Release) -> str:
    return item.envoy.version(ROUTES_TYPE)


@asynccontextmanager
async def fleet(*first: Release) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        outcomes: list[Outcome] = []
        xds = await stack.enter_async_context(control_plane())
        releases = await stack.enter_async_context(publisher(xds.ads, judged=outcomes.append))
        found = Fleet(xds, releases, stack, outcomes)
        for item in first:
            await found.publish(item)
        yield found


def served_path(push: Any) -> bytes:
    """The path of the first route in a push of routes."""
    assert push.type_url == ROUTES_TYPE
    (item,) = push.resources
    return bytes(item.resource.value)


GOOD = release(a="a")
BAD = release(bad="a")
BETTER = release(better="a")


async def test_what_all_refuse_is_taken_back_and_told_with_everyones_words() -> None:
    async with fleet(GOOD) as found:
        envoys = [await found.running("one"), await found.running("two")]
        found.releases.publish(BAD)
        for envoy in envoys:
            await envoy.nack(await envoy.next(), "no such thing")
        for envoy in envoys:
            assert b"/a" in served_path(await envoy.take())

        await found.releases.published()
        (outcome,) = [item for item in found.outcomes if item.refused]
        assert (outcome.release, outcome.instead) == (BAD, GOOD)
        assert sorted(map(str, outcome.refused)) == ["one: no such thing", "two: no such thing"]
        assert {item.refusal.names for item in outcome.refused} == {("r",)}
        for envoy in envoys:
            await envoy.quiet()


async def test_who_connects_next_never_sees_what_was_refused() -> None:
    async with fleet(GOOD) as found:
        envoy = await found.running("one")
        found.releases.publish(BAD)
        await envoy.nack(await envoy.next(), "no such thing")
        await envoy.take()
        await found.releases.published()

        fresh = await found.envoy("fresh")
        assert names(await fresh.take()) == ["a"]
        await fresh.subscribe(ROUTES_TYPE, "r")
        assert b"/a" in served_path(await fresh.take())
        await fresh.quiet()


async def test_what_some_refuse_stays_for_the_others_and_is_told() -> None:
    async with fleet(GOOD) as found:
        picky, easy = await found.running("picky"), await found.running("easy")
        found.releases.publish(BAD)
        await picky.nack(await picky.next(), "too old for this")
        await easy.take()
        await found.releases.published()

        assert found.refused == []
        outcome = found.outcomes[-1]
        assert {item.node: [refusal.message for refusal in item.refusals] for item in outcome.verdicts} == {
            "picky": ["too old for this"], "easy": [],
        }  # fmt: skip
        await picky.quiet()
        await easy.quiet()

        found.releases.publish(BETTER)
        assert b"/better" in served_path(await picky.take())
        assert b"/better" in served_path(await easy.take())


async def test_a_port_that_one_cannot_bind_holds_up_nobody() -> None:
    front = listener("front", "r")
    async with fleet(release(front, a="a")) as found:
        envoy = await found.envoy("only")
        await envoy.take()
        await envoy.subscribe(LISTENER_TYPE)
        await envoy.nack(await envoy.next(), IN_USE)
        await envoy.subscribe(ROUTES_TYPE, "r")
        await envoy.take()

        await eventually(lambda: found.outcomes and found.outcomes[-1].verdicts)
        assert found.refused == []
        fresh = await found.envoy("fresh")
        await fresh.take()
        await fresh.subscribe(LISTENER_TYPE)
        assert names(await fresh.take()) == ["front"]


async def test_a_verdict_that_comes_late_takes_back_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "ENVOYS_SECONDS", 0.1)
    async with fleet(GOOD) as found:
        envoy = await found.running("slow")
        await found.publish(BAD)
        push = await envoy.next()
        assert found.refused == []

        await envoy.nack(push, "no such thing")
        assert b"/a" in served_path(await envoy.take())
        await eventually(lambda: found.refused == [(version(BAD), ["slow"])])


async def test_who_connects_later_and_refuses_as_the_only_one_is_heard() -> None:
    async with fleet(GOOD) as found:
        await found.running("first")
        await found.leave("first")
        await found.publish(BAD)

        later = await found.envoy("later")
        await later.take()
        await later.subscribe(ROUTES_TYPE, "r")
        await later.nack(await later.next(), "no such thing")
        assert b"/a" in served_path(await later.take())
        await eventually(lambda: found.refused == [(version(BAD), ["later"])])


async def test_it_goes_back_past_releases_that_nobody_saw() -> None:
    worse = release(worse="a")
    async with fleet(GOOD) as found:
        await found.running("first")
        await found.leave("first")
        await found.publish(BAD)
        await found.publish(worse)

        later = await found.envoy("later")
        await later.take()
        await later.subscribe(ROUTES_TYPE, "r")
        for expected in (b"/worse", b"/bad"):
            push = await later.next()
            assert expected in served_path(push)
            await later.nack(push, "no such thing")
        assert b"/a" in served_path(await later.take())
        await later.quiet()


async def test_a_first_release_that_is_refused_is_withheld_from_who_comes_next() -> None:
    async with fleet(BAD) as found:
        envoy = await found.envoy("one")
        await envoy.take()
        await envoy.subscribe(ROUTES_TYPE, "r")
        await envoy.nack(await envoy.next(), "no such thing")
        await eventually(lambda: found.refused == [(version(BAD), ["one"])])
        assert found.outcomes[-1].instead is None

        fresh = await found.envoy("fresh")
        assert await eventually(lambda: found.sent("fresh")) == {CLUSTER_TYPE: ""}
        found.releases.publish(GOOD)
        await fresh.take()
        await fresh.subscribe(ROUTES_TYPE, "r")
        assert b"/a" in served_path(await fresh.take())
        assert b"/a" in served_path(await envoy.take())


async def test_a_last_good_release_that_is_refused_by_a_newcomer_stays() -> None:
    """There is nothing better to serve, and nothing is sent twice."""
    async with fleet(GOOD) as found:
        await found.running("first")
        await eventually(lambda: found.outcomes[-1].verdicts)
        await found.leave("first")

        later = await found.envoy("later")
        await later.take()
        await later.subscribe(ROUTES_TYPE, "r")
        await later.nack(await later.next(), "no such thing")
        await eventually(lambda: found.refused == [(version(GOOD), ["later"])])
        await later.quiet()
        assert (await found.running("another")) is not None


async def test_what_a_group_alone_sees_and_refuses_is_the_configurations_fault() -> None:
    for_edge = Resource(ROUTES_TYPE, "edge", routes("edge", bad="a").body, "1", frozenset({"edge"}))
    async with fleet(GOOD) as found:
        core, edge = await found.running("core"), await found.running("edge", group="edge")
        await edge.subscribe(ROUTES_TYPE, "r", "edge")
        await edge.take()
        found.releases.publish(release(for_edge, a="a"))
        push = await edge.next()
        assert names(push) == ["edge"]
        await edge.nack(push, "no such thing")

        assert names(await edge.take()) == ["-edge"]
        await eventually(lambda: [who for _, who in found.refused] == [["edge"]])
        await core.quiet()


async def test_a_changed_secret_is_not_served_after_a_refusal() -> None:
    old, new = secret("key", "old"), secret("key", "new")
    async with fleet(release(old, a="a")) as found:
        envoy = await found.running("one")
        found.releases.publish(release(new, bad="a"))
        await envoy.nack(await envoy.next(), "no such thing")
        await envoy.take()
        await found.releases.published()

        fresh = await found.envoy("fresh")
        await fresh.take()
        await fresh.subscribe(SECRET_TYPE, "key")
        assert b"old" in (await fresh.take()).resources[0].resource.value


async def test_policies_go_back_with_the_routes_that_they_were_made_for() -> None:
    async with fleet(release(policies=policy("old"), a="a")) as found:
        envoy = await found.running("one")
        service = await found.stack.enter_async_context(fake_envoy(found.xds.endpoint, cluster=SERVICES.cluster))
        await service.subscribe(AUTHZ_POLICY_TYPE, "*")
        assert (await service.take()).resources[0].resource.value == b"old"

        found.releases.publish(release(policies=policy("new"), bad="a"))
        assert (await service.take()).resources[0].resource.value == b"new"
        await envoy.nack(await envoy.next(), "no such thing")
        assert (await service.take()).resources[0].resource.value == b"old"
        assert b"/a" in served_path(await envoy.take())


async def test_policies_that_a_service_refuses_late_take_back_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "SERVICES_SECONDS", 0.1)
    async with fleet(release(policies=policy("old"), a="a")) as found:
        envoy = await found.running("one")
        service = await found.stack.enter_async_context(fake_envoy(found.xds.endpoint, cluster=SERVICES.cluster))
        await service.subscribe(AUTHZ_POLICY_TYPE, "*")
        await service.take()

        found.releases.publish(release(policies=policy("bad"), b="a"))
        push = await service.next()
        assert b"/b" in served_path(await envoy.take())
        await service.nack(push, "a key is too short")
        assert b"/a" in served_path(await envoy.take())
        assert (await service.take()).resources[0].resource.value == b"old"


async def test_a_service_does_not_accept_what_it_did_not_ask_for() -> None:
    both = snapshot([*policy("bad").of(AUTHZ_POLICY_TYPE).values(), resource(LIMIT_SET_TYPE, "route/a", b"")])
    async with fleet(release(policies=policy("old"), a="a")) as found:
        envoy = await found.running("one")
        services = [
            await found.stack.enter_async_context(fake_envoy(found.xds.endpoint, node=node, cluster=SERVICES.cluster))
            for node in ("authz", "limits")
        ]
        await services[0].subscribe(AUTHZ_POLICY_TYPE, "*")
        await services[0].take()
        await services[1].subscribe(LIMIT_SET_TYPE, "*")
        await services[1].take()

        found.releases.publish(release(policies=both, b="a"))
        await services[1].take()
        await services[0].nack(await services[0].next(), "a key is too short")
        await found.releases.published()

        assert [who for _, who in found.refused] == [["authz"]]
        assert found.outcomes[-1].instead is not None
        await envoy.quiet()


async def test_a_refusal_that_nobody_heard_is_no_release_to_go_back_to() -> None:
    async with fleet(GOOD) as found:
        envoy = await found.running("one")
        found.releases.publish(BAD)
        refused = await envoy.next()
        found.releases.publish(release(worse="a"))
        await asyncio.sleep(0)
        await envoy.nack(refused, "no such thing")
        push = await envoy.next()
        assert b"/worse" in served_path(push)
        await envoy.nack(push, "no such thing")

        assert b"/a" in served_path(await envoy.take())
        await envoy.quiet()


async def test_a_later_verdict_is_told_and_nothing_twice() -> None:
    async with fleet(GOOD) as found:
        await eventually(lambda: len(found.outcomes) == 1)
        await found.running("one")
        await eventually(lambda: [item.node for item in found.outcomes[-1].verdicts] == ["one"])
        told = len(found.outcomes)
        await found.running("two")
        await eventually(lambda: len(found.outcomes[-1].verdicts) == 2)
        assert told < len(found.outcomes) <= told + 2
