"""Services are followed through the official client, whatever the API server does: what was last known stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import kubernetes_api as told
from tests.support.endpoints import Watched, upstream, watching
from tests.support.eventually import eventually
from tests.support.kubernetes_api import ApiServer, api_server

ONE, TWO = "10.0.0.1:8080", "10.0.0.2:8080"


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with api_server() as found:
        yield found


@pytest.fixture
async def watched(server: ApiServer, tmp_path: Path) -> AsyncIterator[Watched]:
    """Follows the Service `email`, which has one pod."""
    server.put(told.endpoint_slice("a", "10.0.0.1"))
    async with watching(server.kubeconfig(tmp_path)) as found:
        await found.watcher.prepare([upstream()])
        found.watcher.watch([upstream()])
        await eventually(lambda: server.streams == 1)
        yield found


async def test_the_first_list_is_there_before_anything_goes_live(server: ApiServer, tmp_path: Path) -> None:
    server.put(told.endpoint_slice("a", "10.0.0.1"))
    server.put(told.endpoint_slice("other", "10.0.0.7", service="other"))
    server.put(told.endpoint_slice("far", "10.0.0.8", namespace="far"))
    async with watching(server.kubeconfig(tmp_path)) as found:
        named = [upstream(), upstream("grpc", port=8080), upstream("b", port="web")]
        await found.watcher.prepare(named)
        moving = found.watcher.watch(named)

    assert {name: [item.host for item in items] for name, items in moving.items()} == {
        "email": ["10.0.0.1"], "grpc": ["10.0.0.1"], "b": [],
    }  # fmt: skip


async def test_pods_come_and_go(server: ApiServer, watched: Watched) -> None:
    server.put(told.endpoint_slice("b", "10.0.0.2"))
    await eventually(watched.is_at(ONE, TWO))
    server.put(told.endpoint_slice("a"))
    await eventually(watched.is_at(TWO))
    server.delete("b")
    await eventually(watched.is_at())

    await eventually(lambda: watched.told and watched.told[-1] == {"email": ()})
    assert (watched.count(), server.lists) == (0.0, 1)


async def test_changes_that_come_together_go_on_together(server: ApiServer, watched: Watched) -> None:
    for number in range(2, 100):
        server.put(told.endpoint_slice("a", *(f"10.0.0.{last}" for last in range(1, number))))

    await eventually(lambda: watched.told and len(watched.told[-1]["email"]) == 98)
    assert len(watched.told) <= 3


async def test_what_changes_nothing_is_not_handed_on(server: ApiServer, watched: Watched) -> None:
    server.put(told.endpoint_slice("a", "10.0.0.1") | {"noise": 1})
    server.bookmark()
    server.put(told.endpoint_slice("b", "10.0.0.2"))

    await eventually(lambda: watched.told)
    assert [[item.host for item in moving["email"]] for moving in watched.told] == [["10.0.0.1", "10.0.0.2"]]


async def test_a_stream_that_ends_is_taken_up_where_it_ended(server: ApiServer, watched: Watched) -> None:
    server.put(told.endpoint_slice("b", "10.0.0.2"))
    await eventually(watched.is_at(ONE, TWO))
    server.bookmark()
    await asyncio.sleep(0.05)
    server.end_streams()
    await eventually(lambda: server.watches == 2 and server.streams == 1)
    server.delete("a")
    await eventually(watched.is_at(TWO))

    assert server.lists == 1
    assert int(server.asked[-1]["resourceVersion"]) == 103  # the bookmark's


async def test_what_is_too_old_is_listed_anew(server: ApiServer, watched: Watched) -> None:
    server.forget()
    server.end_streams()
    await eventually(lambda: server.lists == 2 and server.streams == 1)
    server.put(told.endpoint_slice("a", "10.0.0.2"))
    await eventually(watched.is_at(TWO))


async def test_pods_that_left_while_nobody_listened_are_gone_after_the_next_list(
    server: ApiServer, watched: Watched
) -> None:
    await server.stop()
    await eventually(lambda: watched.is_up() == 0.0)
    assert watched.hosts() == [ONE]

    server.put(told.endpoint_slice("b", "10.0.0.2"))
    server.delete("a")
    server.forget()
    await server.start()
    await eventually(watched.is_at(TWO))
    await eventually(lambda: watched.is_up() == 1.0)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500, 503])
async def test_refusals_change_nothing(server: ApiServer, watched: Watched, status: int) -> None:
    server.status = status
    server.end_streams()
    await eventually(lambda: watched.is_up() == 0.0)
    assert watched.hosts() == [ONE]

    server.status = 200
    await eventually(lambda: watched.is_up() == 1.0)
    assert (watched.hosts(), watched.told) == ([ONE], [])


GARBAGE = [
    pytest.param(b"no JSON", id="text"),
    pytest.param(b"\xff\xfe\x00", id="bytes"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="list"),
    pytest.param(b"{}", id="nothing"),
    pytest.param(b"[" * 100_000, id="deep"),
    pytest.param(b"x" * (5 << 20), id="endless line"),
    pytest.param(b'{"items": 7, "type": 7}', id="numbers"),
    pytest.param(b'{"type": "ADDED", "object": {}, "items": [{}]}', id="no name"),
    pytest.param(b'{"type": "ADDED", "object": {"metadata": 3}, "items": [3]}', id="no slice"),
    pytest.param(b'{"type": "ODD", "object": {"metadata": {"name": "a"}}, "metadata": 1}', id="odd"),
    pytest.param(b'{"type": "ERROR", "object": {"code": "x"}, "metadata": {"continue": 1}}', id="error"),
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_changes_nothing(server: ApiServer, watched: Watched, garbage: bytes) -> None:
    server.say(garbage)
    await eventually(lambda: watched.is_up() == 0.0 or server.watches > 1)
    assert watched.hosts() == [ONE]

    server.body = garbage
    asked = len(server.asked)
    server.end_streams()
    await eventually(lambda: len(server.asked) >= asked + 3)
    assert watched.hosts() == [ONE]

    server.body = None
    server.put(told.endpoint_slice("a", "10.0.0.2"))
    await eventually(watched.is_at(TWO))


async def test_a_slice_that_cannot_be_read_stays_as_it_was(server: ApiServer, watched: Watched) -> None:
    server.put(told.endpoint_slice("b", "10.0.0.2"))
    await eventually(watched.is_at(ONE, TWO))
    server.put(told.endpoint_slice("a") | {"endpoints": [{"addresses": [7]}]})
    server.put(told.endpoint_slice("b"))
    await eventually(watched.is_at(ONE))

    server.forget()
    server.end_streams()
    await eventually(lambda: server.lists == 2 and server.streams == 1)
    assert watched.hosts() == [ONE]


async def test_what_changed_before_upstreams_went_live_is_not_lost(server: ApiServer, watched: Watched) -> None:
    server.put(told.endpoint_slice("o", "10.0.0.1", service="other"))
    await watched.watcher.prepare([upstream(), upstream("other", service="other")])
    await eventually(lambda: server.streams == 2)
    server.put(told.endpoint_slice("o", "10.0.0.2", service="other"))
    await asyncio.sleep(0.3)  # long enough that a change would have gone on

    moving = watched.watcher.watch([upstream(), upstream("other", service="other")])

    assert watched.told == []
    assert [item.host for item in moving["other"] or ()] == ["10.0.0.2"]


async def test_a_port_that_no_pod_has_is_told_with_those_that_there_are(
    server: ApiServer, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    moving = watched.watcher.watch([upstream(port=80)])
    watched.watcher.watch([upstream(port=80)])

    warned = [text for text in capsys.readouterr().out.splitlines() if "has the port" in text]
    assert moving == {"email": ()}
    assert len(warned) == 1
    assert "8080 (http)" in warned[0]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"status": 500}, id="errors"),
        pytest.param({"ends_streams": True}, id="streams that end"),
        pytest.param({"body": b"{}"}, id="garbage"),
    ],
)
async def test_nobody_asks_without_a_pause(server: ApiServer, watched: Watched, trouble: dict[str, Any]) -> None:
    vars(server).update(trouble)
    server.end_streams()
    before = len(server.asked)
    await asyncio.sleep(1.5)

    assert 1 <= len(server.asked) - before <= 6


async def test_a_silent_server_holds_nothing_up_for_long(server: ApiServer, tmp_path: Path) -> None:
    server.answers.clear()
    async with watching(server.kubeconfig(tmp_path)) as found:
        await found.watcher.prepare([upstream()], seconds=0.2)
        assert found.watcher.watch([upstream()]) == {"email": None}
        assert (found.hosts(), found.count(), found.is_up()) == (None, 0.0, 0.0)

        server.put(told.endpoint_slice("a", "10.0.0.1"))
        server.answers.set()
        await eventually(found.is_at(ONE))
        await eventually(lambda: found.told)


async def test_a_missing_kubeconfig_is_looked_for_again(server: ApiServer, tmp_path: Path) -> None:
    async with watching(tmp_path / "kubeconfig") as found:
        found.watcher.watch([upstream()])
        await asyncio.sleep(0.1)
        server.put(told.endpoint_slice("a", "10.0.0.1"))
        server.kubeconfig(tmp_path)

        await eventually(found.is_at(ONE))


async def test_large_lists_come_in_pages(server: ApiServer, tmp_path: Path) -> None:
    for number in range(1200):
        server.put(told.endpoint_slice(f"s{number}", f"10.1.{number // 250}.{number % 250 + 1}"))
    async with watching(server.kubeconfig(tmp_path)) as found:
        await found.watcher.prepare([upstream()])
        moving = found.watcher.watch([upstream()])

    assert len(moving["email"]) == 1200
    assert server.lists == 3


async def test_only_what_is_named_is_followed(server: ApiServer, watched: Watched) -> None:
    server.put(told.endpoint_slice("o", "10.0.0.2", service="other"))
    await watched.watcher.prepare([upstream(), upstream("other", service="other")])
    await eventually(lambda: server.streams == 2)
    assert watched.hosts("other") is None  # it is not live

    watched.watcher.watch([upstream("mail", service="other")])
    await eventually(lambda: server.streams == 1)
    assert (watched.hosts("mail"), watched.hosts()) == ([TWO], None)
    assert (watched.count("mail"), watched.count()) == (1.0, None)


async def test_two_control_planes_agree_whatever_order_they_heard_it_in(server: ApiServer, tmp_path: Path) -> None:
    kubeconfig = server.kubeconfig(tmp_path)
    async with watching(kubeconfig) as first:
        await first.watcher.prepare([upstream()])
        first.watcher.watch([upstream()])
        for number in (3, 1, 2):
            server.put(told.endpoint_slice(f"s{number}", f"10.0.0.{9 - number}", f"10.0.0.{number}"))
        await eventually(lambda: len(first.hosts() or ()) == 6)
        async with watching(kubeconfig) as second:
            await second.watcher.prepare([upstream()])
            assert second.watcher.watch([upstream()]) == first.watcher.current()
