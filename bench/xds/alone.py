"""Measurements of the control plane's parts, each in a process of its own that has done nothing before.

`python -m bench.xds.alone NAME ARGUMENTS` prints a result as JSON; `alone` is the caller's side.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop
import yaml

from bench import processes
from bench.load import LoadFailed
from bench.xds.corpus import Corpus, Edit, Shape
from bench.xds.endurance import endurance
from control_plane.compile import Compiler
from control_plane.gate.trial import Trial
from control_plane.sources.files import FileSource
from control_plane.xds.wiring import Wiring
from service_kit.clock import SystemClock
from service_kit.endpoint import unix_endpoint
from service_kit.settings import environment
from tollgate_cli.supervisor.envoy import envoy_binary

CLOCK = SystemClock()
Json = dict[str, Any]  # Any: JSON
# A file that was never edited is not read anew: the first edit finds caches that no later one meets.
UNCOUNTED = 1


def alone(name: str, folder: Path, shape: Shape, **arguments: object) -> Any:  # Any: JSON
    """What the measurement of this name gives, made on a corpus in this folder."""
    return processes.alone(__spec__.name, name, str(shape), folder=str(folder), shape=asdict(shape), **arguments)


async def cold(corpus: Corpus) -> Json:
    """Seconds from the files to a release that may be published, and of only reading the same files as YAML in C."""
    start = CLOCK.monotonic()
    for file in sorted(corpus.folder.glob("*.yaml")):
        yaml.load(file.read_bytes(), yaml.CSafeLoader)  # a safe one
    read = CLOCK.monotonic()
    compiler = _compiler(corpus)
    release = compiler.release(compiler.read(corpus.folder, {}).gateway)
    done = CLOCK.monotonic()
    sizes = {
        type_url.rpartition(".")[2]: sum(len(item.body) for item in named.values())
        for snapshot in (release.envoy, release.policies)
        for type_url, named in snapshot.resources.items()
    }
    return {"yaml": read - start, "compile": done - read, "sizes": sizes}


async def steps(corpus: Corpus, edits: int) -> list[Json]:
    """Seconds of each step from a file renamed into place to a release that Envoy's validator has accepted."""
    compiler = _compiler(corpus)
    trial = Trial(lambda gateway: compiler.trial(gateway).envoy, envoy_binary(environment()), CLOCK)
    checked = compiler.read(corpus.folder, {})
    compiler.release(checked.gateway)
    source = FileSource(corpus.folder)
    source.watch(checked.loaded.files)
    found = []
    async with aclosing(source.changes()) as changes:
        noticed = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(1)  # it has begun to watch
        for number in range(edits + UNCOUNTED):
            start = CLOCK.monotonic()
            corpus.edit(Edit.ROUTE, number)
            await noticed
            heard = CLOCK.monotonic()
            last, checked = checked, await asyncio.to_thread(compiler.read, corpus.folder, {})
            read = CLOCK.monotonic()
            await asyncio.to_thread(compiler.release, checked.gateway)
            released = CLOCK.monotonic()
            trial.begin()
            reason = await trial.refusal_of_edit(checked.gateway, last.gateway)
            if reason is not None:
                raise LoadFailed(reason)
            accepted = CLOCK.monotonic()
            found.append(
                {
                    "noticed": heard - start,
                    "read": read - heard,
                    "compiled": released - read,
                    "accepted": accepted - released,
                }
            )
            source.watch(checked.loaded.files)
            noticed = asyncio.ensure_future(anext(changes))
        noticed.cancel()
        await asyncio.gather(noticed, return_exceptions=True)
    return found[UNCOUNTED:]


def _compiler(corpus: Corpus) -> Compiler:
    run = corpus.folder.parent
    return Compiler(Wiring(unix_endpoint(run / "authz.sock"), unix_endpoint(run / "ratelimit.sock"), "/dev/null"))


MEASUREMENTS: Mapping[str, Callable[..., Awaitable[Any]]] = {"cold": cold, "steps": steps, "endurance": endurance}


async def _main(name: str, folder: str, shape: Json, **arguments: object) -> None:
    corpus = Corpus(Path(folder), Shape(**shape), 18800, 18801)
    corpus.write()
    print(json.dumps(await MEASUREMENTS[name](corpus, **arguments)))


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], **json.loads(sys.argv[2])))
