"""Asks an upstream which models it has: the first of its endpoints that answers, with its credential and its TLS."""

import asyncio
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpcore

from control_plane.config.values.network import UpstreamAddress
from control_plane.discovery.listing import Listing, listing
from control_plane.discovery.sources import ModelSource, url_at
from control_plane.ir.model import UpstreamTls
from control_plane.polling.answers import FAILURES, Unavailable, answer, shown
from llm_providers import registry
from llm_providers.models import Listed, Model
from llm_providers.provider import Details, LLMProvider, Undiscoverable

LARGEST_ANSWER: Final = 4 << 20
# Seconds for the list of one endpoint; and for the details of all of its models, of which the rest is asked next time.
LONGEST_LIST: Final = 5.0
LONGEST_DETAILS: Final = 10.0
# Details that are asked for at a time.
AT_A_TIME: Final = 4
ALPN: Final = ("http/1.1",)
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


async def listed_models(source: ModelSource, before: Listing | None) -> Listing:
    """The models of the first endpoint that answers; Unavailable. What was known `before` is not asked again."""
    provider = registry.provider(source.provider)
    context = None if source.tls is None else await asyncio.to_thread(tls_context, source.tls, source.system_ca)
    reasons: list[str] = []
    for address in source.addresses:
        async with httpcore.AsyncConnectionPool(ssl_context=context, max_connections=AT_A_TIME) as pool:
            endpoint = _Endpoint(source, provider, address, pool)
            try:
                found = listing(await endpoint.models())
            except Unavailable as error:
                reasons.append(str(error))
                continue
            return found if provider.details is None else await _described(found, before, endpoint, provider.details)
    raise Unavailable("; ".join(reasons))


@dataclass(frozen=True)
class _Endpoint:
    """One endpoint of an upstream, and the connections to it."""

    source: ModelSource
    provider: LLMProvider
    address: UpstreamAddress
    pool: httpcore.AsyncConnectionPool

    async def models(self) -> Listed:
        url = url_at(self.address, self.provider.discovery.path)
        try:
            async with asyncio.timeout(LONGEST_LIST):
                return self.provider.discovery.parse(await self._asked(url))
        except TimeoutError as error:
            raise Unavailable(f"{shown(url)} does not answer in {LONGEST_LIST:g} s") from error
        except Undiscoverable as error:
            raise Unavailable(f"{shown(url)} answers with no list of models: {error}") from error
        except FAILURES as error:
            raise Unavailable(f"{shown(url)} cannot be asked: {error or type(error).__name__}") from error

    async def details(self, details: Details, model: Model) -> Model | None:
        """The model with what the endpoint tells of it; None where it tells nothing that can be read."""
        url = url_at(self.address, details.path)
        try:
            return details.parse(model, await self._asked(url, details.body(model)))
        except (Unavailable, Undiscoverable, *FAILURES):
            return None

    async def _asked(self, url: str, content: bytes | None = None) -> bytes:
        tls = self.source.tls
        extensions: dict[str, object] = {"timeout": {"connect": self.source.connect_timeout}}
        if tls is not None and tls.server_name is not None:
            extensions["sni_hostname"] = tls.server_name
        return await answer(
            self.pool, url, self._headers(url), largest=LARGEST_ANSWER, content=content, extensions=extensions
        )

    def _headers(self, url: str) -> tuple[tuple[bytes, bytes], ...]:
        host = self.source.host or urlsplit(url).netloc
        headers = ((b"host", host.encode()), (b"accept", b"application/json"), (b"content-type", b"application/json"))
        credential = self.source.credential
        return headers if credential is None else (*headers, (credential.header.encode(), credential.value.reveal()))


async def _described(found: Listing, before: Listing | None, endpoint: _Endpoint, details: Details) -> Listing:
    """The list with details: those of before where a model is the same, and those that come in time of the others."""
    known = _known(found, before)
    turns = asyncio.Semaphore(AT_A_TIME)

    async def ask(model: Model) -> None:
        async with turns:
            told = await endpoint.details(details, model)
        if told is not None:
            known[model.name] = told

    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_DETAILS), asyncio.TaskGroup() as tasks:
            for model in found.models:
                if model.name not in known:
                    tasks.create_task(ask(model))
    models = tuple(known.get(model.name, model) for model in found.models)
    return replace(found, models=models, described=frozenset(known))


def _known(found: Listing, before: Listing | None) -> dict[str, Model]:
    """Models of which the details were told already: what has the same digest is the same."""
    if before is None:
        return {}
    old = {(model.name, model.digest): model for model in before.models if model.name in before.described}
    return {
        model.name: same for model in found.models if model.digest and (same := old.get((model.name, model.digest)))
    }


def tls_context(tls: UpstreamTls, system_ca: str) -> ssl.SSLContext:
    """How TLS to the upstream is spoken; blocking."""
    authorities = (tls.ca or system_ca).encode("ascii", "ignore").decode()  # comments stand between them
    context = ssl.create_default_context(cadata=authorities or None)
    context.set_alpn_protocols(list(ALPN))
    context.minimum_version = VERSIONS[tls.minimum_version]
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.identification is not None:
        with tempfile.TemporaryDirectory() as folder:  # 0700; the library reads keys from files alone
            pair = Path(folder) / "pair.pem"
            pair.write_bytes(tls.identification.certificate.encode() + b"\n" + tls.identification.private_key.reveal())
            context.load_cert_chain(pair)
    return context
