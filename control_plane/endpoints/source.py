"""The API server of Kubernetes through its official client: the slices of a Service as a list, then as a stream.

The client brings address, credentials and TLS; what the server says is read here, since it may say anything. Every
fault of either is Lost, and Expired where a list must be read anew.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SERVICE_LABEL: Final = "kubernetes.io/service-name"
PAGE: Final = 500
MOST_PAGES: Final = 200
LARGEST_PAGE: Final = 64 << 20  # bytes
LIST_SECONDS: Final = 30.0
# The server ends a stream after so long, so that a connection that died in silence is noticed.
WATCH_SECONDS: Final = 120
GRACE_SECONDS: Final = 15.0
GONE: Final = 410
# What a failure says, at most.
LONGEST_REASON: Final = 300

Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, order=True)
class Service:
    """A Service by its namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Lost(Exception):  # noqa: N818 - a state of the world, not a fault of the program
    """The API server is away, refuses or makes no sense; the message says why."""


class Expired(Lost):
    """What was known is too old to go on from: a new list is needed."""


@dataclass(frozen=True)
class Listed:
    """All slices of a Service at one moment, unread."""

    slices: tuple[Json, ...]
    version: str


@dataclass(frozen=True)
class Event:
    """What happened to a slice, which is unread; a BOOKMARK says only how far the stream has come."""

    kind: str
    slice: Json
    version: str


class Api(Protocol):
    """A connection to the API server."""

    async def listed(self, service: Service) -> Listed: ...

    def events(self, service: Service, version: str) -> AsyncGenerator[Event | None, None]:
        """None once the stream is open, then what happens; ends when the server ends it."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)


class _Metadata(_Part):
    resource_version: str = Field("", alias="resourceVersion")


class _Object(_Part):
    metadata: _Metadata = _Metadata()


class _PageMetadata(_Part):
    resource_version: Annotated[str, Field(alias="resourceVersion", min_length=1)]
    next_page: str = Field("", alias="continue")


class _Page(_Part):
    """A page of a list; what does not say that it is one would be taken for a list of nothing."""

    kind: Literal["EndpointSliceList"]
    metadata: _PageMetadata
    items: list[Json] | None


class _Event(_Part):
    type: str
    object: Json


class KubernetesApi:
    """Where the API server is: as a kubeconfig says, or as every pod is told."""

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Api]:
        """A connection of its own, with credentials and authorities as they are now."""
        # It is optional, and large: a second in which the loop would stand still.
        await asyncio.to_thread(import_module, "kubernetes.aio.client")
        from kubernetes.aio import client  # noqa: PLC0415

        configuration = await self._configuration()
        with _faults():
            connection = client.ApiClient(configuration)
        async with connection:
            yield _Connection(client.DiscoveryV1Api(connection))

    async def _configuration(self) -> Any:  # Any: the client's own type, which is imported only here
        from kubernetes.aio import client, config  # noqa: PLC0415

        configuration = client.Configuration()
        try:
            if self._kubeconfig is None:
                config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # without annotations
            else:
                await config.load_kube_config(  # type: ignore[no-untyped-call]  # without annotations
                    str(self._kubeconfig), client_configuration=configuration, persist_config=False
                )
        except Exception as error:  # whatever the client makes of the files and programs of others
            raise Lost(_cut(f"no configuration to reach it: {error or repr(error)}")) from error
        return configuration


class _Connection:
    """The two calls."""

    def __init__(self, api: Any) -> None:  # Any: DiscoveryV1Api of a package that may be absent
        self._api = api

    async def listed(self, service: Service) -> Listed:
        slices: list[Json] = []
        next_page = None
        for _ in range(MOST_PAGES):
            with _faults():
                response = await self._asked(service, LIST_SECONDS, limit=PAGE, _continue=next_page)
                page = await asyncio.to_thread(_Page.model_validate_json, await _body(response))
            slices.extend(page.items or ())
            next_page = page.metadata.next_page
            if not next_page:
                return Listed(tuple(slices), page.metadata.resource_version)
        raise Lost(f"its list does not end after {MOST_PAGES} pages")

    async def events(self, service: Service, version: str) -> AsyncGenerator[Event | None, None]:
        with _faults():
            response = await self._asked(
                service,
                WATCH_SECONDS + GRACE_SECONDS,
                watch=True,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=WATCH_SECONDS,
            )
            async with response:
                yield None
                async for line in response.content:
                    if line.strip():
                        yield _event(line)

    async def _asked(self, service: Service, seconds: float, **options: Any) -> Any:  # Any: of the client
        response = await self._api.list_namespaced_endpoint_slice_without_preload_content(
            service.namespace,
            label_selector=f"{SERVICE_LABEL}={service.name}",
            _request_timeout=seconds,
            **options,
        )
        if response.status == GONE:
            raise Expired("what was known is too old")
        if not response.ok:
            raise Lost(_cut(f"it answered {response.status} {response.reason}"))
        return response


def _event(line: bytes) -> Event:
    event = _Event.model_validate_json(line)
    if event.type == "ERROR":
        message = _cut(f"it ended the stream: {event.object.get('message') or event.object.get('reason')}")
        raise Expired(message) if event.object.get("code") == GONE else Lost(message)
    return Event(event.type, event.object, _Object.model_validate(event.object).metadata.resource_version)


async def _body(response: Any) -> bytes:  # Any: of the client
    body = bytearray()
    async with response:
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > LARGEST_PAGE:
                raise Lost(f"a page of its list is larger than {LARGEST_PAGE} bytes")
    return bytes(body)


@contextmanager
def _faults() -> Iterator[None]:
    """Faults of the connection and of what is said on it, in our words."""
    from aiohttp import ClientError  # noqa: PLC0415 - it comes with the optional client
    from aiohttp.http_exceptions import HttpProcessingError  # noqa: PLC0415 - as above
    from kubernetes.aio.client import ApiException  # noqa: PLC0415

    try:
        yield
    except ValidationError as error:
        raise Expired(f"it said what cannot be read: {error.errors(include_input=False)[0]['msg']}") from error
    except HttpProcessingError as error:  # a line that does not end
        raise Expired(_cut(str(error))) from error
    except (ClientError, ApiException, OSError, TimeoutError, ValueError) as error:
        raise Lost(_cut(str(error) or repr(error))) from error


def _cut(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]
