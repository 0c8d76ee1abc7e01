"""The seam between counters and their store: one script, run whole on the keys of one step, and its reply.

A store knows neither claims nor windows; the counters know neither clients, batches nor timeouts.

Errors: StoreUnavailable - the store was not reached, was too slow, or answered with an error. Whether the script ran is
open then: nothing is repeated by the store, only a script that it did not know is loaded and run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files
from typing import Protocol


class StoreUnavailable(Exception):  # noqa: N818 - a state of the outside world, named as the contract names it
    """The store gave no answer in time, or an error instead of one."""


@dataclass(frozen=True)
class Script:
    """A Lua source and the name that the store knows it by."""

    source: str = field(repr=False)
    digest: str


@dataclass(frozen=True)
class Step:
    """One call of a script. All keys of a step share a slot where the store is clustered; there is always one."""

    script: Script
    keys: tuple[str, ...]
    # The first is the time in microseconds; empty: the server's own clock, which all replicas of this service share.
    arguments: tuple[int | str, ...]


# A script answers with one flat list: numbers, and texts as the bytes that the store keeps.
Reply = Sequence[int | bytes]


class Scripts(Protocol):
    """Where steps run."""

    @property
    def clustered(self) -> bool:
        """Whether keys of different slots may live on different servers, so that no one step can have them."""
        ...

    async def call(self, step: Step) -> Reply:
        """The reply; StoreUnavailable otherwise. Steps that arrive together may share a round trip."""
        ...


def script(*names: str) -> Script:
    """The script made of these files of the folder `lua`, one after the other."""
    folder = files("ratelimit_service").joinpath("lua")
    source = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
    # EVALSHA names a script by this digest; it protects nothing.
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())
