"""What would change between two configurations, and who would notice: in the admin's words and in resources."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from control_plane.operations.described import SECRET
from control_plane.operations.reports import Element, NodeReport, ResourceVersion, Running, ServedType
from control_plane.xds.names import LISTENER_TYPE, is_variant

Change = Literal["added", "removed", "changed"]
NOTHING_WRITTEN = "{}"
# Used by those who do not name one of their elements.
SECTIONS = ("identity.jwt", "identity.bearer_tokens", "plans", "tenants")
DEFAULTS = "defaults"
NO_RESOURCES = ServedType({})


@dataclass(frozen=True)
class KeyChange:
    """A key whose value differs; None where it has its default, and on both sides where the value is a secret."""

    key: str
    old: str | None
    new: str | None
    secret: bool = False


@dataclass(frozen=True)
class ElementChange:
    """An element by its address, `routes.email`; one that is added or removed has no keys."""

    element: str
    change: Change
    keys: tuple[KeyChange, ...] = ()


@dataclass(frozen=True)
class ResourceChange:
    """A resource by its type URL and name."""

    type: str
    name: str
    change: Change


@dataclass(frozen=True)
class AffectedNode:
    """A connected consumer that would be pushed something."""

    node: str
    cluster: str
    group: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class AffectedPlan:
    """A plan whose limits would change, and the declared callers that have it."""

    plan: str
    consumers: tuple[str, ...]
    bearer_tokens: tuple[str, ...]
    tenants: tuple[str, ...]


@dataclass(frozen=True)
class Affected:
    """Who would notice.

    `routes` are those that change, by the elements because of which they do; `requests` are their hosts and paths.
    `drained` are the listeners that Envoy replaces: open connections are closed after their next answer.
    """

    routes: Mapping[str, tuple[str, ...]]
    requests: tuple[str, ...]
    plans: tuple[AffectedPlan, ...]
    drained: tuple[str, ...]
    nodes: tuple[AffectedNode, ...]


@dataclass(frozen=True)
class Difference:
    """All that would change."""

    elements: tuple[ElementChange, ...]
    resources: tuple[ResourceChange, ...]
    affected: Affected

    @property
    def nothing(self) -> bool:
        return not self.elements and not self.resources


def difference(old: Running, new: Running) -> Difference:
    """What would change if `new` took the place of `old`, for those who are connected to `old`."""
    elements = tuple(_elements(old.elements, new.elements))
    resources = tuple(_resources(old, new))
    return Difference(elements, resources, _Consequences(old, new, elements, resources).affected())


def _elements(old: Mapping[str, Element], new: Mapping[str, Element]) -> Iterator[ElementChange]:
    for name in sorted({*old, *new}):
        if name not in old:
            yield ElementChange(name, "added")
        elif name not in new:
            yield ElementChange(name, "removed")
        elif keys := tuple(_keys(old[name].keys, new[name].keys)):
            yield ElementChange(name, "changed", keys)


def _keys(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[KeyChange]:
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if before == after or _only_holds(key, before, new) or _only_holds(key, after, old):
            continue
        if any(value is not None and value.startswith(SECRET) for value in (before, after)):
            yield KeyChange(key, None, None, secret=True)
        else:
            yield KeyChange(key, before, after)


def _only_holds(key: str, value: str | None, other: Mapping[str, str]) -> bool:
    """Whether the key says only that it is there, as `cors: {}` does, and the other side says what is in it."""
    return value == NOTHING_WRITTEN and any(name.startswith(f"{key}.") for name in other)


def _resources(old: Running, new: Running) -> Iterator[ResourceChange]:
    for type_url in sorted({*old.types, *new.types}):
        before = old.types.get(type_url, NO_RESOURCES).resources
        after = new.types.get(type_url, NO_RESOURCES).resources
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                yield ResourceChange(type_url, name, _kind(name, before, after))


def _kind(name: str, before: Mapping[str, ResourceVersion], after: Mapping[str, ResourceVersion]) -> Change:
    if name not in before:
        return "added"
    return "changed" if name in after else "removed"


@dataclass(frozen=True)
class _Consequences:
    """Reads from both sides who depends on what changes."""

    old: Running
    new: Running
    elements: tuple[ElementChange, ...]
    resources: tuple[ResourceChange, ...]

    def affected(self) -> Affected:
        routes = dict(self._routes())
        return Affected(
            routes=routes,
            requests=tuple(sorted({where for name in routes for where in self._where(f"routes.{name}")})),
            plans=tuple(self._plans()),
            drained=tuple(self._drained()),
            nodes=tuple(self._nodes()),
        )

    @cached_property
    def _changed(self) -> Mapping[str, str]:
        """By what may be used, what changes of it: `plans` is used where `plans.free` changes, `defaults.plan` too."""
        found: dict[str, str] = {}
        for item in self.elements:
            found[item.element] = item.element
            for section in SECTIONS:
                if item.element.startswith(f"{section}."):
                    found[section] = section if section in found else item.element
            if item.element == DEFAULTS:
                found.update({f"{DEFAULTS}.{key.key}": f"{DEFAULTS}.{key.key}" for key in item.keys})
        return found

    def _routes(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for address in self._addresses("routes."):
            causes = self._causes(address)
            if causes:
                yield address.removeprefix("routes."), causes

    def _causes(self, address: str) -> tuple[str, ...]:
        return _once(self._changed[use] for use in (address, *self._uses(address)) if use in self._changed)

    def _plans(self) -> Iterator[AffectedPlan]:
        for item in self.elements:
            if not item.element.startswith("plans.") or item.change == "added":
                continue
            consumers = [name for name in self._addresses("consumers.") if item.element in self._uses(name)]
            tokens = [name for name in self._addresses("identity.bearer_tokens.") if item.element in self._uses(name)]
            yield AffectedPlan(
                plan=item.element.removeprefix("plans."),
                consumers=tuple(name.removeprefix("consumers.") for name in consumers),
                bearer_tokens=tuple(name.removeprefix("identity.bearer_tokens.") for name in tokens),
                tenants=tuple(sorted({tenant for name in (*consumers, *tokens) for tenant in self._where(name)})),
            )

    def _drained(self) -> Iterator[str]:
        replaced = (item.name for item in self.resources if item.type == LISTENER_TYPE and item.change != "added")
        return (name for name in replaced if not is_variant(name))  # no client has a connection to those

    def _nodes(self) -> Iterator[AffectedNode]:
        for node in self.old.nodes:
            types = {item.type for item in self.resources if item.type in node.types and self._is_seen(item, node)}
            if types:
                yield AffectedNode(node.node, node.cluster, node.group, tuple(sorted(types)))

    def _is_seen(self, item: ResourceChange, node: NodeReport) -> bool:
        """Whether the node's group was given the resource, or would be."""
        served = [side.types.get(item.type, NO_RESOURCES).resources.get(item.name) for side in (self.old, self.new)]
        return any(found is not None and (not found.groups or node.group in found.groups) for found in served)

    def _addresses(self, prefix: str) -> list[str]:
        return sorted(name for name in {*self.old.elements, *self.new.elements} if name.startswith(prefix))

    def _uses(self, address: str) -> tuple[str, ...]:
        return _once(use for element in self._sides(address) for use in element.uses)

    def _where(self, address: str) -> tuple[str, ...]:
        return _once(where for element in self._sides(address) for where in element.where)

    def _sides(self, address: str) -> list[Element]:
        found = (self.old.elements.get(address), self.new.elements.get(address))
        return [element for element in found if element is not None]


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
