"""A stand-in for the API server of Kubernetes: lists and watches EndpointSlices, and misbehaves as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from service_kit.race import first_ended
from tests.support.ports import free_port

LABEL = "kubernetes.io/service-name"
Json = dict[str, Any]


def pod(address: str, *, name: str = "", **conditions: bool | None) -> Json:
    return {"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": name}}


def endpoint_slice(
    name: str,
    *pods: str | Json,
    service: str = "email",
    namespace: str = "default",
    kind: str = "IPv4",
    ports: Iterable[tuple[str | None, int | None]] = (("http", 8080),),
) -> Json:
    """A slice as the API server tells it; a pod that is only an address is ready."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: service}, "generation": 1},
        "addressType": kind,
        "endpoints": [pod(item, ready=True) if isinstance(item, str) else item for item in pods],
        "ports": [{"name": name, "port": number, "protocol": "TCP"} for name, number in ports],
    }


class ApiServer:
    """What it holds, how it behaves, and what it was asked."""

    def __init__(self) -> None:
        self.port = free_port()
        self.asked: list[Mapping[str, str]] = []
        # Every request is answered with this status, or with this body, while it is set.
        self.status = 200
        self.body: bytes | None = None
        # Streams end as soon as they have begun.
        self.ends_streams = False
        self.answers = asyncio.Event()
        self.answers.set()
        self._slices: dict[str, Json] = {}
        self._version = 100
        self._oldest = 0
        self._happened: list[tuple[int, bytes]] = []
        self._streams: dict[asyncio.Queue[bytes | None], asyncio.StreamWriter] = {}
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def lists(self) -> int:
        return sum("watch" not in item for item in self.asked)

    @property
    def watches(self) -> int:
        return sum("watch" in item for item in self.asked)

    @property
    def streams(self) -> int:
        return len(self._streams)

    def put(self, content: Json) -> None:
        """Adds the slice, or replaces it."""
        name = content["metadata"]["name"]
        self._tell("MODIFIED" if name in self._slices else "ADDED", content)
        self._slices[name] = content

    def delete(self, name: str) -> None:
        self._tell("DELETED", self._slices.pop(name))

    def bookmark(self) -> None:
        self._version += 1
        kind = {"kind": "EndpointSlice", "metadata": {"resourceVersion": str(self._version)}}
        self.say(json.dumps({"type": "BOOKMARK", "object": kind}).encode())

    def forget(self) -> None:
        """From now on a watch from before this moment gets 410."""
        self._version += 1
        self._oldest = self._version

    def end_streams(self) -> None:
        for queue in self._streams:
            queue.put_nowait(None)

    def say(self, line: bytes) -> None:
        """Puts a line into every stream."""
        for queue in self._streams:
            queue.put_nowait(line)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Cuts all connections and refuses new ones."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._connections):
            writer.transport.abort()
        await asyncio.sleep(0)

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads here."""
        file = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        file.write_text(yaml.safe_dump(content))
        return file

    def _tell(self, kind: str, content: Json) -> None:
        self._version += 1
        content["metadata"]["resourceVersion"] = str(self._version)
        line = json.dumps({"type": kind, "object": content}).encode()
        self._happened.append((self._version, line))
        self.say(line)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                url = urlsplit(head.split(b" ")[1].decode())
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                self.asked.append({"path": url.path, **query})
                await self.answers.wait()
                answer = self._answer(url.path.split("/")[-2], query, writer)
                await first_ended(answer, _left(reader)) if "watch" in query else await answer
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, namespace: str, query: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
        if self.status != 200 or self.body is not None:
            _whole(writer, self.body or b"{}", self.status)
        elif "watch" in query:
            await self._watch(query, self._chosen(namespace, query), writer)
        else:
            _whole(writer, json.dumps(self._page(namespace, query)).encode())
        await writer.drain()

    def _chosen(self, namespace: str, query: Mapping[str, str]) -> Callable[[Json], bool]:
        service = query["labelSelector"].removeprefix(f"{LABEL}=")
        return lambda it: it["metadata"]["labels"][LABEL] == service and it["metadata"]["namespace"] == namespace

    def _page(self, namespace: str, query: Mapping[str, str]) -> Json:
        found = [item for item in self._slices.values() if self._chosen(namespace, query)(item)]
        start, limit = int(query.get("continue", "0")), int(query["limit"])
        rest = {"continue": str(start + limit)} if len(found) > start + limit else {}
        return {
            "kind": "EndpointSliceList",
            "metadata": {"resourceVersion": str(self._version), **rest},
            "items": found[start : start + limit],
        }

    async def _watch(
        self, query: Mapping[str, str], chosen: Callable[[Json], bool], writer: asyncio.StreamWriter
    ) -> None:
        version = int(query["resourceVersion"])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if version < self._oldest:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            queue.put_nowait(json.dumps({"type": "ERROR", "object": gone}).encode())
            queue.put_nowait(None)
        for at, line in self._happened:
            if at > version:
                queue.put_nowait(line)
        self._streams[queue] = writer
        if self.ends_streams:
            queue.put_nowait(None)
        try:
            while (line := await queue.get()) is not None:
                if _is_meant(line, chosen):
                    writer.write(b"%x\r\n%b\n\r\n" % (len(line) + 1, line))
                    await writer.drain()
            writer.write(b"0\r\n\r\n")
        finally:
            del self._streams[queue]


async def _left(reader: asyncio.StreamReader) -> None:
    """Returns when the client has gone: on a stream it says nothing more."""
    if not await reader.read(1):
        raise asyncio.IncompleteReadError(b"", 1)


def _is_meant(line: bytes, chosen: Callable[[Json], bool]) -> bool:
    """Whether the line is no change of a slice that was not asked for."""
    with suppress(ValueError, KeyError, TypeError):
        return chosen(json.loads(line)["object"])
    return True


def _whole(writer: asyncio.StreamWriter, body: bytes, status: int = 200) -> None:
    writer.write(b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\n" % status)
    writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))


@asynccontextmanager
async def api_server() -> AsyncIterator[ApiServer]:
    """A running server without any slices."""
    server = ApiServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
