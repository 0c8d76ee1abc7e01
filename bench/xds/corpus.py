"""A configuration of any size in any number of files, and edits of it that are valid and always change something.

Its routes are of the kinds that there are many of: open ones, ones with a token, ones with a token and a limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

UPSTREAMS = 20
FIRST_PORT = 9000
CONNECT_SECONDS = 5


class Edit(Enum):
    """What is changed, one of it each time."""

    ROUTE = "route"
    ENDPOINT = "endpoint"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Shape:
    """How large a configuration is. With `hosts` each file has a host of its own, as teams do; without, all share."""

    routes: int
    files: int
    hosts: bool = False

    def __str__(self) -> str:
        files = "1 file" if self.files == 1 else f"{self.files} files"
        return f"{self.routes:,} routes in {files}{', a host each' if self.hosts else ''}"


@dataclass
class Corpus:
    """The files, and how often each part of them was edited."""

    folder: Path
    shape: Shape
    port: int
    admin_port: int
    _moved_routes: dict[int, int] = field(default_factory=dict)
    _moved_endpoints: int = 0
    _moved_clusters: int = 0

    @property
    def upstreams(self) -> tuple[str, ...]:
        return tuple(f"u{number}" for number in range(UPSTREAMS))

    def write(self) -> None:
        """All files, anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(self.shape.files):
            self._replace(number)

    def edit(self, kind: Edit, number: int) -> None:
        """Changes one thing: a file is written beside and renamed into place, as careful writers do."""
        file = 0
        if kind is Edit.ROUTE:
            route = number * self._step % self.shape.routes
            self._moved_routes[route] = self._moved_routes.get(route, 0) + 1
            file = next(at for at in range(self.shape.files) if route in self._routes_of(at))
        elif kind is Edit.ENDPOINT:
            self._moved_endpoints += 1
        else:
            self._moved_clusters += 1
        self._replace(file)

    @property
    def _step(self) -> int:
        """From one edited route to the next: the edits go through the files, and meet every kind of route."""
        return max(1, self.shape.routes // self.shape.files) + 1

    def _replace(self, number: int) -> None:
        name = f"{number:03}.yaml"
        fresh = self.folder / f".{name}.new"
        fresh.write_text(self._text(number), encoding="utf-8")
        fresh.rename(self.folder / name)

    def _text(self, number: int) -> str:
        base = self._base() if number == 0 else ["version: 1"]
        routes = [line for route in self._routes_of(number) for line in self._route(route, number)]
        return "\n".join([*base, "routes:", *routes, ""])

    def _routes_of(self, file: int) -> range:
        routes, files = self.shape.routes, self.shape.files
        return range(routes * file // files, routes * (file + 1) // files)

    def _route(self, number: int, file: int) -> Sequence[str]:
        hosts = f", hosts: [team{file}.example.com]" if self.shape.hosts else ""
        is_open, is_limited = number % 4 == 0, number % 3 == 0
        return (
            f"  - name: r{number}",
            f"    match: {{path: /team{file}/service{number}/*{hosts}}}",
            f"    upstream: u{(number + self._moved_routes.get(number, 0)) % UPSTREAMS}",
            f"    auth: {'none' if is_open else '[bearer]'}",
            f"    limits: [{'{requests: 100/minute}' if is_limited and not is_open else ''}]",
        )

    def _base(self) -> list[str]:
        return [
            "version: 1",
            f"listeners: {{public: {{address: '127.0.0.1:{self.port}'}}}}",
            f"admin: {{address: '127.0.0.1:{self.admin_port}'}}",
            "identity: {bearer_tokens: [{name: bench, token: a-bearer-token-of-the-bench}]}",
            "plans: {free: {limits: [{requests: 100000/minute}]}}",
            "defaults: {plan: free}",
            "upstreams:",
            *(self._upstream(number) for number in range(UPSTREAMS)),
        ]

    def _upstream(self, number: int) -> str:
        port = FIRST_PORT + number + (UPSTREAMS * (self._moved_endpoints % 100) if number == 0 else 0)
        seconds = CONNECT_SECONDS + (self._moved_clusters % 2 if number == 1 else 0)
        return f"  u{number}: {{url: 'http://127.0.0.1:{port}', connect_timeout: {seconds}s}}"
