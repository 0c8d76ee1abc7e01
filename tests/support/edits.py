"""A small gateway and random edits of everything in it: what it is made of, and what each of its routes must answer."""

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from google.protobuf.message import Message

from control_plane.snapshot import Resource
from tests.support.xds import cluster, endpoints, listener, pair, routes

# Bounds within which a gateway stays, so that every kind of edit is always possible.
CLUSTERS = (3, 6)
PATHS = (3, 6)
LISTENERS = (2, 4)

Key = tuple[int, str]  # port and path
Targets = Mapping[Key, str]


@dataclass(frozen=True)
class Cluster:
    """A cluster and the backends that are its endpoints."""

    backends: frozenset[str]
    connect_ms: int = 1000


@dataclass(frozen=True)
class Front:
    """A listener: its port and routes, its certificate where it speaks TLS, and something to change."""

    port: int
    routes: str
    secret: str | None = None
    prefix: str = "first"


@dataclass(frozen=True)
class Gateway:
    """All of it by name; `secrets` are numbers of certificates, `paths` clusters by route table and path."""

    clusters: Mapping[str, Cluster]
    paths: Mapping[str, Mapping[str, str]]
    fronts: Mapping[str, Front]
    secrets: Mapping[str, int]

    def targets(self) -> Targets:
        """Which cluster answers what is asked of each port."""
        return {
            (front.port, path): target
            for front in self.fronts.values()
            for path, target in self.paths[front.routes].items()
        }

    def resources(
        self, source: Message, ports: Mapping[str, int], certificates: tuple[tuple[str, str], ...]
    ) -> Iterator[Resource]:
        """The gateway as Envoy is given it."""
        for name, held in self.clusters.items():
            yield cluster(name, connect_ms=held.connect_ms, source=source)
            yield endpoints(name, *(ports[backend] for backend in sorted(held.backends)))
        for name, targets in self.paths.items():
            yield routes(name, **targets)
        for name, front in self.fronts.items():
            secret = front.secret
            yield listener(name, front.routes, port=front.port, prefix=front.prefix, certificate=secret, source=source)
        for name, number in self.secrets.items():
            yield pair(name, *certificates[number])


class Editor:
    """Makes edits, the same ones for the same seed; a name that was used once is never used again."""

    def __init__(self, seed: int, backends: tuple[str, ...], certificates: int, ports: tuple[int, ...]) -> None:
        self.made: list[tuple[str, ...]] = []
        self._ports = deque(ports)  # the one that is free longest comes first
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._backends = backends
        self._certificates = certificates

    def first(self) -> Gateway:
        clusters = {f"c{number}": self._cluster() for number in range(CLUSTERS[0])}
        paths = {table: {f"p{number}": f"c{number}" for number in range(PATHS[0])} for table in ("plain", "secure")}
        fronts = {"front": Front(self._ports.popleft(), "plain"), "safe": Front(self._ports.popleft(), "secure", "s0")}
        return Gateway(clusters, paths, fronts, {"s0": 0})

    def edited(self, gateway: Gateway) -> Gateway:
        """The gateway after one edit, now and then after several that come together."""
        edits = self._random.choices(EDITS, k=self._random.choice((1, 1, 1, 2, 4)))
        self.made.append(tuple(edit.__name__ for edit in edits))
        for edit in edits:
            gateway = edit(self, gateway)
        return gateway

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def add_cluster(self, gateway: Gateway) -> Gateway:
        """A cluster, and a route to it where there is room."""
        if len(gateway.clusters) >= CLUSTERS[1]:
            return self.remove_cluster(gateway)
        name = self._name("c")
        added = replace(gateway, clusters={**gateway.clusters, name: self._cluster()})
        return self._with_route(added, name)

    def change_cluster(self, gateway: Gateway) -> Gateway:
        name = self._any(gateway.clusters)
        changed = replace(gateway.clusters[name], connect_ms=1000 + next(self._numbers))
        return replace(gateway, clusters={**gateway.clusters, name: changed})

    def change_endpoints(self, gateway: Gateway) -> Gateway:
        name = self._any(gateway.clusters)
        changed = replace(gateway.clusters[name], backends=self._cluster().backends)
        return replace(gateway, clusters={**gateway.clusters, name: changed})

    def rename_cluster(self, gateway: Gateway) -> Gateway:
        """With its endpoints and every route to it."""
        old = self._any(gateway.clusters)
        return self._replaced(gateway, old, self._name("c"), gateway.clusters[old])

    def remove_cluster(self, gateway: Gateway) -> Gateway:
        """Its routes go to another one."""
        if len(gateway.clusters) <= CLUSTERS[0]:
            return self.add_cluster(gateway)
        old = self._any(gateway.clusters)
        heir = self._any({name: None for name in gateway.clusters if name != old})
        return self._replaced(gateway, old, heir, gateway.clusters[heir])

    def add_route(self, gateway: Gateway) -> Gateway:
        return self._with_route(gateway, self._any(gateway.clusters))

    def change_route(self, gateway: Gateway) -> Gateway:
        table = self._any(gateway.paths)
        path = self._any(gateway.paths[table])
        return self._with_table(gateway, table, {**gateway.paths[table], path: self._any(gateway.clusters)})

    def remove_route(self, gateway: Gateway) -> Gateway:
        table = self._any(gateway.paths)
        if len(gateway.paths[table]) <= PATHS[0]:
            return self.add_route(gateway)
        gone = self._any(gateway.paths[table])
        left = {path: target for path, target in gateway.paths[table].items() if path != gone}
        return self._with_table(gateway, table, left)

    def rename_routes(self, gateway: Gateway) -> Gateway:
        """A route table takes a new name, with the listeners that use it."""
        old, new = self._any(gateway.paths), self._name("r")
        paths = {new if table == old else table: targets for table, targets in gateway.paths.items()}
        fronts = {
            name: replace(front, routes=new) if front.routes == old else front for name, front in gateway.fronts.items()
        }
        return replace(gateway, paths=paths, fronts=fronts)

    def add_listener(self, gateway: Gateway) -> Gateway:
        if len(gateway.fronts) >= LISTENERS[1]:
            return self.remove_listener(gateway)
        secret = self._any(gateway.secrets) if self.chance(0.5) else None
        front = Front(self._ports.popleft(), self._any(gateway.paths), secret)
        return replace(gateway, fronts={**gateway.fronts, self._name("l"): front})

    def change_listener(self, gateway: Gateway) -> Gateway:
        name = self._any(gateway.fronts)
        changed = replace(gateway.fronts[name], prefix=self._name("prefix"))
        return replace(gateway, fronts={**gateway.fronts, name: changed})

    def rename_listener(self, gateway: Gateway) -> Gateway:
        """It keeps its port."""
        old, new = self._any(gateway.fronts), self._name("l")
        fronts = {new if name == old else name: front for name, front in gateway.fronts.items()}
        return replace(gateway, fronts=fronts)

    def remove_listener(self, gateway: Gateway) -> Gateway:
        if len(gateway.fronts) <= LISTENERS[0]:
            return self.add_listener(gateway)
        old = self._any(gateway.fronts)
        self._ports.append(gateway.fronts[old].port)
        return replace(gateway, fronts={name: front for name, front in gateway.fronts.items() if name != old})

    def rotate_secret(self, gateway: Gateway) -> Gateway:
        name = self._any(gateway.secrets)
        number = (gateway.secrets[name] + 1) % self._certificates
        return replace(gateway, secrets={**gateway.secrets, name: number})

    def rename_secret(self, gateway: Gateway) -> Gateway:
        """With every listener that shows it."""
        old, new = self._any(gateway.secrets), self._name("s")
        secrets = {new if name == old else name: number for name, number in gateway.secrets.items()}
        fronts = {
            name: replace(front, secret=new) if front.secret == old else front for name, front in gateway.fronts.items()
        }
        return replace(gateway, secrets=secrets, fronts=fronts)

    def _replaced(self, gateway: Gateway, old: str, new: str, held: Cluster) -> Gateway:
        clusters = {name: item for name, item in gateway.clusters.items() if name != old}
        paths = {
            table: {path: new if target == old else target for path, target in targets.items()}
            for table, targets in gateway.paths.items()
        }
        return replace(gateway, clusters={**clusters, new: held}, paths=paths)

    def _with_route(self, gateway: Gateway, target: str) -> Gateway:
        table = self._any(gateway.paths)
        if len(gateway.paths[table]) >= PATHS[1]:
            return gateway
        return self._with_table(gateway, table, {**gateway.paths[table], self._name("p"): target})

    def _with_table(self, gateway: Gateway, table: str, targets: Mapping[str, str]) -> Gateway:
        return replace(gateway, paths={**gateway.paths, table: targets})

    def _cluster(self) -> Cluster:
        return Cluster(frozenset(self._random.sample(self._backends, self._random.choice((1, 1, 2, 3)))))

    def _any(self, named: Mapping[str, object]) -> str:
        return self._random.choice(sorted(named))

    def _name(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}-"


EDITS: tuple[Callable[[Editor, Gateway], Gateway], ...] = (
    Editor.add_cluster,
    Editor.change_cluster,
    Editor.change_endpoints,
    Editor.rename_cluster,
    Editor.remove_cluster,
    Editor.add_route,
    Editor.change_route,
    Editor.remove_route,
    Editor.rename_routes,
    Editor.add_listener,
    Editor.change_listener,
    Editor.rename_listener,
    Editor.remove_listener,
    Editor.rotate_secret,
    Editor.rename_secret,
)
