"""Statements 66 to 68: lifetimes of resources, and what is said of those that are not there."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from control_plane.xds.names import CLUSTER_TYPE, ENDPOINTS_TYPE
from tests.conformance.client import Client
from tests.conformance.modes import Mode, in_every_mode
from tests.conformance.server import Server, world
from tests.support.eventually import eventually
from tests.support.xds import endpoints

READS_LIFETIMES = ("xds.config.supports-resource-ttl", "xds.config.resource-in-sotw")
# Seconds; a loaded machine may be late by most of it.
LIFETIME = 1.2
SHORT = 0.15


@pytest.fixture
async def reader(server: Server, mode: Mode) -> AsyncIterator[Client]:
    """A client that says it reads lifetimes."""
    async with server.client(mode, features=READS_LIFETIMES) as found:
        yield found


@in_every_mode
async def test_66_a_resource_with_a_lifetime_is_confirmed_before_it_ends(server: Server, reader: Client) -> None:
    server.serve(replace(endpoints("a", 1), ttl=LIFETIME), endpoints("b", 1))
    await reader.ask(ENDPOINTS_TYPE, "a", "b")
    first = await reader.take()
    lives = {item.name: item.ttl for item in first.given}
    assert lives == {"a": LIFETIME, "b": None}
    since = time.monotonic()
    for _ in range(2):
        beat = await reader.take(ENDPOINTS_TYPE)
        assert time.monotonic() - since < LIFETIME, "too late"
        since = time.monotonic()
        (confirmed,) = beat.given
        content = None if reader.mode.delta else first.bodies["a"]  # Envoy drops what SotW confirms without content
        assert (confirmed.name, confirmed.body, confirmed.ttl) == ("a", content, LIFETIME)
        assert confirmed.version == next(item.version for item in first.given if item.name == "a")


@in_every_mode
async def test_66_who_cannot_read_lifetimes_is_told_of_none(server: Server, client: Client) -> None:
    server.serve(replace(endpoints("a", 1), ttl=SHORT))
    await client.ask(ENDPOINTS_TYPE, "a")
    found = await client.take()
    assert [(item.name, item.ttl) for item in found.given] == [("a", None)]
    await asyncio.sleep(SHORT)
    await client.silent()


@in_every_mode
async def test_67_a_confirmation_is_no_new_version_and_no_push(server: Server, reader: Client) -> None:
    server.serve(replace(endpoints("a", 1), ttl=SHORT))
    await reader.ask(ENDPOINTS_TYPE, "a")
    first = await reader.take()
    await eventually(lambda: server.status(ENDPOINTS_TYPE).acked == first.version)
    since = server.status(ENDPOINTS_TYPE).since
    for _ in range(3):
        beat = await reader.take(ENDPOINTS_TYPE)
        assert (beat.version, beat.nonce != first.nonce) == (first.version, True)

    status = server.status(ENDPOINTS_TYPE)
    assert (status.sent, status.acked, status.settled, status.since) == (first.version, first.version, True, since)
    counted = [server.figure(f"tollgate_xds_{name}_total", type="ClusterLoadAssignment") for name in ("pushes", "acks")]
    assert counted == [1, 1]


@in_every_mode
async def test_67_a_confirmation_that_is_not_acked_holds_up_nothing(server: Server, reader: Client) -> None:
    server.serve(replace(endpoints("a", 1), ttl=SHORT))
    await reader.ask(ENDPOINTS_TYPE, "a")
    await reader.take()
    await reader.next(ENDPOINTS_TYPE)
    server.serve(replace(endpoints("a", 2), ttl=SHORT))
    while (found := await reader.next(ENDPOINTS_TYPE)).bodies["a"] != endpoints("a", 2).body:
        assert found.names == ["a"]


@in_every_mode
async def test_68_no_reasons_are_given_for_what_is_not_there(server: Server, client: Client) -> None:
    server.serve(*world())
    await client.ask(CLUSTER_TYPE, "nothing")

    answer = await client.take()
    assert (answer.names, answer.errors) == (["-nothing"] if client.mode.delta else [], 0)
