"""What routes refer to: the clusters of a snapshot, the filters of its listeners, and the limits of the policies."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from control_plane.consistency.clusters import Cluster
from control_plane.consistency.filters import JUDGES
from control_plane.consistency.listeners import Listener, Owner
from control_plane.consistency.routes import Around, Referred
from control_plane.reuse import Reused
from control_plane.snapshot import Resource, Snapshot
from control_plane.xds.filters.instance_limits import PLAN, ROUTE
from service_kit import contract
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb


@dataclass(frozen=True)
class Surroundings:
    """What there is; `limits` counts the limits of each set, `owners` of local limits are routes and plans."""

    clusters: AbstractSet[str]
    http2_clusters: AbstractSet[str]
    kept_clusters: AbstractSet[str]
    filters: AbstractSet[str]
    limits: Mapping[str, int]
    owners: AbstractSet[Owner]
    plans_limit: bool
    plans_keep_here: bool

    def of(self, route: Referred) -> Around:
        """What there is of what a route refers to."""
        return Around(
            clusters=(route.clusters | route.mirrors) & self.clusters,
            filters=route.filters & self.filters,
            all_http2=self.http2_clusters >= route.clusters,
            all_mark_kept=self.kept_clusters >= route.clusters,
            limits=self.limits.get(contract.route_limits_name(route.name)),
            plans_limit=self.plans_limit,
            kept_here=(ROUTE, route.name) in self.owners,
            plans_keep_here=self.plans_keep_here,
        )


def surroundings(
    clusters: Mapping[str, Cluster], listeners: Iterable[Listener], limits: Mapping[str, int]
) -> Surroundings:
    """What a snapshot has for routes; a filter or a bucket that one listener lacks is none, for routes are shared."""
    chains = [chain for listener in listeners for chain in listener.chains]
    owners = frozenset[Owner].intersection(*(chain.owners for chain in chains)) if chains else frozenset[Owner]()
    plans = contract.plan_limits_name("")
    return Surroundings(
        clusters=frozenset(clusters),
        http2_clusters=frozenset(name for name, item in clusters.items() if item.speaks_http2),
        kept_clusters=frozenset(name for name, item in clusters.items() if item.keeps_answers),
        filters=frozenset.intersection(*(chain.filters for chain in chains)) if chains else frozenset(JUDGES),
        limits=limits,
        owners=owners,
        plans_limit=any(count for name, count in limits.items() if name.startswith(plans)),
        plans_keep_here=any(kind == PLAN for kind, _ in owners),
    )


class Limits:
    """Counts the limits of policies, each set once."""

    def __init__(self) -> None:
        self.read: Reused[int, tuple[Resource, int]] = Reused()

    def of(self, policies: Snapshot) -> Mapping[str, int]:
        """How many limits each set has, by its name."""
        return {name: self._count(item) for name, item in policies.of(contract.LIMIT_SET_TYPE).items()}

    def _count(self, item: Resource) -> int:
        known = self.read.get(id(item))
        if known is None:
            known = self.read[id(item)] = item, len(policy_pb.LimitSet.FromString(item.body).limits)
        return known[1]
