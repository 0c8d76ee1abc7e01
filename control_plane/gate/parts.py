"""What an edit is made of, where it is to be judged apart: routes, upstreams and listeners by name."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from control_plane.ir.model import Gateway, Listener, Route, Upstream
from control_plane.ir.part import changed

ROUTES: Final = "routes"
UPSTREAMS: Final = "upstreams"
LISTENERS: Final = "listeners"
KINDS: Final = (ROUTES, UPSTREAMS, LISTENERS)
# How one of a kind is called in a sentence.
WORDS: Final[Mapping[str, str]] = {ROUTES: "route", UPSTREAMS: "upstream", LISTENERS: "listener"}

Element = Route | Upstream | Listener


class Part(NamedTuple):
    """A route, upstream or listener; `kind` is its section of the configuration."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{WORDS[self.kind]} {self.name!r}"


# Parts, and why each of them is blamed.
Blame = Mapping[Part, str]


def elements(gateway: Gateway) -> dict[Part, Element]:
    """Everything of the gateway that has a place of its own in the configuration."""
    return dict(_elements(gateway))


def _elements(gateway: Gateway) -> Iterator[tuple[Part, Element]]:
    named: tuple[tuple[str, Iterable[Element]], ...] = (
        (ROUTES, gateway.routes),
        (UPSTREAMS, gateway.upstreams),
        (LISTENERS, gateway.listeners),
    )
    for kind, items in named:
        for item in items:
            yield Part(kind, item.name), item


def edited(new: Gateway, old: Gateway) -> frozenset[Part]:
    """What is new, different or gone."""
    found = changed(new, old)
    named = ((ROUTES, found.routes), (UPSTREAMS, found.upstreams), (LISTENERS, found.listeners))
    return frozenset(Part(kind, name) for kind, names in named for name in names)
