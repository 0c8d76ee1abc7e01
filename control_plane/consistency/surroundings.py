"""What routes refer to: the clusters of a snapshot, the filters of its listeners, and the limits of the policies."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from control_plane.consistency.clusters import Cluster
from control_plane.consistency.filters import JUDGES
from control_plane.consistency.listeners import Listener, Owner
from control_plane.consistency.routes import Around, LimitSet, Referred
from control_plane.ir.limits import METERED
from control_plane.reuse import Reused
from control_plane.snapshot import Resource, Snapshot
from control_plane.xds.filters.instance_limits import PLAN, ROUTE
from service_kit import contract
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


@dataclass(frozen=True)
class Surroundings:
    """What there is; `limits` are the sets by name, `owners` of local limits are routes and plans."""

    clusters: AbstractSet[str]
    http2_clusters: AbstractSet[str]
    kept_clusters: AbstractSet[str]
    filters: AbstractSet[str]
    limits: Mapping[str, LimitSet]
    owners: AbstractSet[Owner]
    callers: LimitSet
    plans_keep_here: bool

    def of(self, route: Referred) -> Around:
        """What there is of what a route refers to."""
        return Around(
            clusters=(route.clusters | route.mirrors) & self.clusters,
            filters=route.filters & self.filters,
            all_http2=self.http2_clusters >= route.clusters,
            all_mark_kept=self.kept_clusters >= route.clusters,
            limits=self.limits.get(contract.route_limits_name(route.name)),
            callers=self.callers,
            kept_here=(ROUTE, route.name) in self.owners,
            plans_keep_here=self.plans_keep_here,
        )


def surroundings(
    clusters: Mapping[str, Cluster], listeners: Iterable[Listener], limits: Mapping[str, LimitSet]
) -> Surroundings:
    """What a snapshot has for routes; a filter or a bucket that one listener lacks is none, for routes are shared."""
    chains = [chain for listener in listeners for chain in listener.chains]
    owners = frozenset[Owner].intersection(*(chain.owners for chain in chains)) if chains else frozenset[Owner]()
    routes = contract.route_limits_name("")
    return Surroundings(
        clusters=frozenset(clusters),
        http2_clusters=frozenset(name for name, item in clusters.items() if item.speaks_http2),
        kept_clusters=frozenset(name for name, item in clusters.items() if item.keeps_answers),
        filters=frozenset.intersection(*(chain.filters for chain in chains)) if chains else frozenset(JUDGES),
        limits=limits,
        owners=owners,
        callers=_together(item for name, item in limits.items() if not name.startswith(routes)),
        plans_keep_here=any(kind == PLAN for kind, _ in owners),
    )


class Limits:
    """Reads the sets of policies, each once."""

    def __init__(self) -> None:
        self.read: Reused[int, tuple[Resource, LimitSet]] = Reused()

    def of(self, policies: Snapshot) -> Mapping[str, LimitSet]:
        """The sets by name."""
        return {name: self._set(item) for name, item in policies.of(contract.LIMIT_SET_TYPE).items()}

    def _set(self, item: Resource) -> LimitSet:
        known = self.read.get(id(item))
        if known is None:
            known = self.read[id(item)] = item, _read(policy_pb.LimitSet.FromString(item.body))
        return known[1]


def _together(sets: Iterable[LimitSet]) -> LimitSet:
    """What some of the sets say."""
    columns = tuple(zip(*sets, strict=True))
    return LimitSet(*map(any, columns)) if columns else LimitSet(*[False] * len(LimitSet._fields))


def _read(said: policy_pb.LimitSet) -> LimitSet:
    units, usages = {limit.unit for limit in said.limits}, {quota.usage for quota in said.quotas}
    return LimitSet(
        limited=bool(said.limits),
        every_call=bool(units - {policy_pb.UNIT_TOKENS}) or contract.USAGE_REQUESTS in usages,
        exempt=said.exempt,
        metered=said.HasField("metering"),
        under_way=policy_pb.UNIT_CONCURRENT in units,
        tokens=policy_pb.UNIT_TOKENS in units or not METERED.isdisjoint(usages),
    )
