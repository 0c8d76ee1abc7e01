"""Public routes that win over a private prefix where both match: they serve what that would have guarded.

A pattern is compared only with prefixes that share a host and can begin like it: thousands of each are no matter.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from control_plane.config import model as config
from control_plane.ir.model import PathKind, PathMatch
from control_plane.ir.order import ANY_HOST
from control_plane.ir.overlap import possible_matches
from control_plane.ir.routes import path_match
from control_plane.ir.rules import accepted

PATTERNS = (PathKind.TEMPLATE, PathKind.REGEX)
Segments = tuple[str | None, ...]


@dataclass
class _Prefixes:
    """Private prefixes, each with its place in the file, by the segment that they begin with and by their literals."""

    by_segment: dict[str | None, list[tuple[int, Segments]]] = field(default_factory=dict)
    everything: list[tuple[int, Segments]] = field(default_factory=list)
    begins: list[tuple[bytes, int]] = field(default_factory=list)

    def add(self, index: int, segments: Segments) -> None:
        self.by_segment.setdefault(segments[0] if segments else None, []).append((index, segments))
        self.everything.append((index, segments))
        literals = (part for part in segments if part is not None)
        self.begins.append(("/".join(("", *literals)).encode(), index))

    def opened_by(self, path: PathMatch) -> Iterator[int]:
        """Places of the prefixes below which the pattern may match; of an expression, by what it can begin with."""
        return self._in_range(path.text) if path.kind is PathKind.REGEX else self._of_template(path.segments)

    def _of_template(self, segments: Segments) -> Iterator[int]:
        first = segments[0]
        near = (*self.by_segment.get(first, ()), *self.by_segment.get(None, ()))
        return (index for index, prefix in (self.everything if first is None else near) if _covers(prefix, segments))

    def _in_range(self, expression: str) -> Iterator[int]:
        least, most = possible_matches(expression)
        for length in range(len(least)):  # what the least match begins with comes before it
            yield from self._between(least[:length], least[:length])
        yield from self._between(least, most)

    def _between(self, least: bytes, most: bytes) -> Iterator[int]:
        start = bisect_left(self.begins, least, key=_begin)
        end = bisect_right(self.begins, most, key=_begin)
        return (index for _, index in self.begins[start:end])


def _begin(item: tuple[bytes, int]) -> bytes:
    return item[0]


def openings(source: config.Config) -> Iterator[tuple[int, str]]:
    """Places of such routes in the file, each with the name of the first prefix that it opens."""
    patterns = [
        (index, written, path)
        for index, written in enumerate(source.routes)
        if (path := path_match(written.match)).kind in PATTERNS and not accepted(written, source)
    ]
    if not patterns:
        return
    by_host, everywhere = _guarded(source.routes, source)
    for index, written, path in patterns:
        hosts = (*written.match.hosts, ANY_HOST)
        near = [by_host[host] for host in hosts if host in by_host] if written.match.hosts else [everywhere]
        opened = min((found for prefixes in near for found in prefixes.opened_by(path)), default=None)
        if opened is not None:
            yield index, source.routes[opened].name


def _guarded(routes: Iterable[config.Route], source: config.Config) -> tuple[dict[str, _Prefixes], _Prefixes]:
    """The private prefixes by host, and all of them."""
    by_host: dict[str, _Prefixes] = {}
    everywhere = _Prefixes()
    for index, written in enumerate(routes):
        path = path_match(written.match)
        if path.kind is PathKind.PREFIX and accepted(written, source):
            everywhere.add(index, path.segments)
            for host in written.match.hosts or (ANY_HOST,):
                by_host.setdefault(host, _Prefixes()).add(index, path.segments)
    for prefixes in (*by_host.values(), everywhere):
        prefixes.begins.sort()
    return by_host, everywhere


def _covers(prefix: Segments, segments: Segments) -> bool:
    return len(segments) >= len(prefix) and all(
        None in (own, other) or own == other for own, other in zip(segments, prefix, strict=False)
    )
