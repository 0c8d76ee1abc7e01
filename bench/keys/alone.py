"""Measurements, each in a process of its own that has done nothing before.

`python -m bench.keys.alone NAME ARGUMENTS` prints a result as JSON; `alone` is the caller's side.
"""

import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from prometheus_client import CollectorRegistry

from authz_service.identity import Grant
from authz_service.metrics import Metrics
from authz_service.server import Authorizer
from bench import processes
from bench.keys.corpus import Corpus
from bench.keys.services import told
from bench.load import LoadFailed
from bench.resources import memory_of
from control_plane.keys.entries import KeySpec
from service_kit.clock import SystemClock
from service_kit.contract import CLIENT_ADDRESS_HEADER, CONSUMER_TYPE
from service_kit.policy_cache import PolicyFile
from service_kit.policy_database import PolicyDatabase

CLOCK = SystemClock()
Json = dict[str, Any]  # Any: JSON
DEMANDS = {"route": "email", "profile": "p", "accept": "api_key", "scopes": "email.send", "roles": ""}


def alone(name: str, corpus: Corpus, **arguments: object) -> Any:  # Any: JSON
    """What the measurement of this name gives."""
    what = f"{corpus.keys} keys"
    return processes.alone(__spec__.name, name, what, folder=str(corpus.folder), keys=corpus.keys, **arguments)


async def filled(corpus: Corpus) -> None:
    """Makes the store and the authorizers' file."""
    corpus.write()
    stored = corpus.identities()
    await stored.open()
    if stored.snapshot is None:
        raise LoadFailed("the store was not read")
    corpus.write_cache(stored.snapshot)
    await stored.close()


async def started_store(corpus: Corpus) -> Json:
    """Seconds and bytes that a control plane needs for the keys."""
    stored = corpus.identities()
    before, start = _memory(), CLOCK.monotonic()
    await stored.open()
    seconds = CLOCK.monotonic() - start
    found = {"seconds": seconds, "bytes": _memory() - before}
    await stored.close()
    return found


async def changes(corpus: Corpus, count: int) -> Json:
    """Seconds of each change, until it is on the disk and served."""
    stored = corpus.identities()
    await stored.open()
    spec = KeySpec("consumer-0", ("email.send",), plan="free")
    created, revoked = [], []
    for _ in range(count):
        start = CLOCK.monotonic()
        made = await stored.create_key(spec, by="bench")
        between = CLOCK.monotonic()
        await stored.revoke(made.key.id, by="bench")
        created.append(between - start)
        revoked.append(CLOCK.monotonic() - between)
    await stored.close()
    return {"created": created, "revoked": revoked}


async def started_authorizer(corpus: Corpus, lookups: int) -> Json:
    """Seconds and bytes that an authorizer needs for the keys it has on disk, and seconds of a decision with them."""
    authorizer = Authorizer(clock=CLOCK, metrics=Metrics(CollectorRegistry()), random_bytes=os.urandom)
    before, start = _memory(), CLOCK.monotonic()
    for cache in (PolicyFile(corpus.cache), PolicyDatabase(corpus.cache.with_suffix(".resources"))):
        for type_url, named in sorted(cache.load().items(), key=lambda item: item[0] != CONSUMER_TYPE):
            authorizer.apply(type_url, {name: held.body for name, held in named.items()}, ())
    seconds = CLOCK.monotonic() - start
    questions = [_question(text) for text in corpus.texts]
    for question in questions:
        if not isinstance(outcome := authorizer.decide(question).outcome, Grant):
            raise LoadFailed(f"a key was refused: {outcome.reason}")
    memory = _memory() - before
    start = CLOCK.monotonic()
    for number in range(lookups):
        authorizer.decide(questions[number % len(questions)])
    return {"seconds": seconds, "bytes": memory, "decision": (CLOCK.monotonic() - start) / lookups}


def _question(text: str) -> bytes:
    question = auth_pb.CheckRequest()
    question.attributes.context_extensions.update(DEMANDS)
    question.attributes.request.http.id = "1"
    question.attributes.request.http.path = "/email"
    for name, value in ((CLIENT_ADDRESS_HEADER, "10.1.2.3"), ("user-agent", "bench"), ("x-api-key", text)):
        header = question.attributes.request.http.header_map.headers.add()
        header.key, header.raw_value = name, value.encode()
    return bytes(question.SerializeToString())


def _memory() -> int:
    gc.collect()
    return memory_of({"self": os.getpid()})["self"].rss


MEASUREMENTS: Mapping[str, Callable[..., Awaitable[Any]]] = {
    function.__name__: function for function in (filled, started_store, changes, started_authorizer, told)
}


async def _main(name: str, folder: str, keys: int, **arguments: object) -> None:
    print(json.dumps(await MEASUREMENTS[name](Corpus(Path(folder), keys), **arguments)))


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], **json.loads(sys.argv[2])))
