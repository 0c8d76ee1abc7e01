"""One page of metrics for several processes: nothing is lost, nothing is mixed up, a dead one costs only itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families as families

from control_plane.admin import gather
from control_plane.admin.gather import ENVOY, Target, gathered, labelled
from service_kit.endpoint import TcpEndpoint, UnixEndpoint
from tests.support.ports import free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def text_of(**counters: int) -> str:
    return "".join(
        f"# HELP {name}_total What it counts\n# TYPE {name}_total counter\n{name}_total {value}\n"
        for name, value in counters.items()
    )


def answering(body: str, status: str = "200 OK") -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(body.encode())}\r\n\r\n"
        writer.write((head + body).encode())
        writer.close()

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def dribbling(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never silent for long, never done."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"#")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def process(name: str, handler: Handler) -> AsyncIterator[Target]:
    """A process that answers on a port of its own."""
    calls: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        calls[task] = writer
        await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield Target(name, TcpEndpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
        for task, writer in calls.items():
            task.cancel()
            writer.close()
        await asyncio.gather(*calls, *(writer.wait_closed() for writer in calls.values()), return_exceptions=True)


async def page(*targets: Target) -> Samples:
    return samples((await gathered(CollectorRegistry(), targets)).decode())


async def test_the_same_family_of_two_processes_is_one_with_two_samples() -> None:
    own = CollectorRegistry()
    Counter("calls", "Calls", registry=own).inc(1)
    async with process("authz", answering(text_of(calls=2))) as target:
        text = (await gathered(own, [target])).decode()

    found = samples(text)
    assert found[key("calls_total", process="control_plane")] == 1
    assert found[key("calls_total", process="authz")] == 2
    assert text.count("# TYPE calls_total counter") == 1


async def test_every_kind_of_metric_survives() -> None:
    registry = CollectorRegistry()
    Gauge("level", "A level", ["tank"], registry=registry).labels("a").set(-1.5)
    Histogram("seconds", "A time", buckets=(1.0, 2.0), registry=registry).observe(1.5)
    text = generate_latest(registry).decode()
    async with process("authz", answering(text)) as target:
        found = await page(target)

    expected = {(name, labels | {("process", "authz")}): value for (name, labels), value in samples(text).items()}
    assert {item: value for item, value in found.items() if item[0] != "tollgate_scrape_up"} == expected


async def test_a_process_behind_a_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "m.sock"
    server = await asyncio.start_unix_server(answering(text_of(calls=3)), path)
    async with server:
        found = await page(Target("authz", UnixEndpoint(path)))

    assert found[key("calls_total", process="authz")] == 3


async def test_envoys_own_metrics_come_as_they_are() -> None:
    async with process(ENVOY, answering("# TYPE envoy_x counter\nenvoy_x{} 7\n")) as target:
        text = (await gathered(CollectorRegistry(), [target])).decode()

    assert text.endswith("# TYPE envoy_x counter\nenvoy_x{} 7\n")
    assert samples(text)[key("tollgate_scrape_up", process=ENVOY)] == 1


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(silent, id="silent"),
        pytest.param(dribbling, id="dribbling"),
        pytest.param(answering("no", "500 Internal Server Error"), id="an-error"),
        pytest.param(answering("<html> no metrics </html>"), id="something-else"),
        pytest.param(answering('calls_total{a="b} 1\n'), id="torn"),
    ],
)
async def test_a_process_that_does_not_answer_costs_its_own_metrics(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "TIMEOUT", 0.2)
    async with process("sick", handler) as sick, process("well", answering(text_of(calls=1))) as well:
        found = await asyncio.wait_for(page(sick, well), 5)

    assert found == {
        key("tollgate_scrape_up", process="sick"): 0,
        key("tollgate_scrape_up", process="well"): 1,
        key("calls_total", process="well"): 1,
    }


async def test_a_process_that_is_gone_costs_its_own_metrics(tmp_path: Any) -> None:
    gone = Target("gone", TcpEndpoint("127.0.0.1", free_port()))
    never = Target("never", UnixEndpoint(tmp_path / "never.sock"))

    assert await page(gone, never) == {
        key("tollgate_scrape_up", process="gone"): 0,
        key("tollgate_scrape_up", process="never"): 0,
    }


@given(
    value=st.text(st.characters(exclude_categories=["Cs"])),
    documentation=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")),
)
def test_hostile_labels_survive_the_merge(value: str, documentation: str) -> None:
    registry = CollectorRegistry()
    Counter("calls", documentation, ["path"], registry=registry).labels(value).inc()
    Counter("later", "Comes behind", registry=registry).inc(5)

    merged = {family.name: family for family in labelled({"a": families(generate_latest(registry).decode())})}

    assert [sample.labels for sample in merged["calls"].samples] == [{"path": value, "process": "a"}]
    assert [sample.value for sample in merged["later"].samples] == [5]


def test_a_label_cannot_claim_to_be_of_another_process() -> None:
    (family,) = labelled({"authz": families('x{process="control_plane"} 1\n')})

    assert family.samples[0].labels == {"process": "authz"}
