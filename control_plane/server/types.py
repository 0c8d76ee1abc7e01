"""The resource types that each group of consumers is given, in the order in which one stream receives them.

A group is named by `node.cluster`: Envoys never see a policy, services never see a listener.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.xds.names import (
    CLUSTER_TYPE,
    ENDPOINTS_TYPE,
    EXTENSION_TYPE,
    LISTENER_TYPE,
    ROUTES_TYPE,
    SECRET_TYPE,
    VIRTUAL_HOST_TYPE,
)
from service_kit import contract

ENVOY_PUSH_ORDER: Final = (
    SECRET_TYPE,  # nothing holds it up: the clusters and listeners that name it wait for it
    CLUSTER_TYPE,  # next: nothing may name a cluster that Envoy has not got
    ENDPOINTS_TYPE,  # a new cluster warms until its endpoints are there, and routes must not reach it before
    LISTENER_TYPE,  # asks for its routes by name
    ROUTES_TYPE,  # last: names everything above
)

# What a type of resource warms, the child by its parents: a changed parent needs its child again, changed or not, and
# is ACKed by Envoy only when it has it.
WARMING: Final[Mapping[str, frozenset[str]]] = {
    SECRET_TYPE: frozenset({CLUSTER_TYPE, LISTENER_TYPE}),
    ENDPOINTS_TYPE: frozenset({CLUSTER_TYPE}),
    ROUTES_TYPE: frozenset({LISTENER_TYPE}),
    VIRTUAL_HOST_TYPE: frozenset({ROUTES_TYPE, LISTENER_TYPE}),  # of the table that they are of, and with it its users
}
# Children that say in their names whose they are, and the type with those names: endpoints have that of their cluster,
# and a cluster that has none here waits for none; virtual hosts begin with that of their table.
NAMES_OF: Final[Mapping[str, str]] = {ENDPOINTS_TYPE: ENDPOINTS_TYPE, VIRTUAL_HOST_TYPE: ROUTES_TYPE}
NOTHING: Final[frozenset[str]] = frozenset()
# Types whose verdict nobody waits for: Envoy ACKs what names a secret when it has the secret.
UNAWAITED: Final = frozenset({SECRET_TYPE})

# What routes and listeners refer to: kept while any Envoy may still run the old ones.
REFERRED_TYPES: Final = frozenset(
    {SECRET_TYPE, CLUSTER_TYPE, ENDPOINTS_TYPE, contract.AUTHZ_POLICY_TYPE, contract.LIMIT_SET_TYPE}
)

# In state-of-the-world responses of these types absence means deletion, and naming nothing means everything.
FULL_STATE_TYPES: Final = frozenset(
    {CLUSTER_TYPE, LISTENER_TYPE, VIRTUAL_HOST_TYPE, *contract.POLICY_TYPES, *contract.BESIDE_TYPES}
)
# Types that are served beside what a configuration says: at once, in no order with others. Nothing is said of them
# until they were read, since that there are none would be a lie, and no verdict on them is one on a configuration.
# Services have those of the contract, Envoys filters whose content goes its own ways.
BESIDE_TYPES: Final = frozenset({*contract.BESIDE_TYPES, EXTENSION_TYPE})


@dataclass(frozen=True)
class ConsumerGroup:
    """Consumers that share one snapshot, by the `node.cluster` they state."""

    cluster: str
    push_order: tuple[str, ...]


ENVOYS: Final = ConsumerGroup(
    # Virtual hosts are routes too, for Envoys that take those of a table one by one: on ADS alone.
    contract.ENVOY_NODE_CLUSTER,
    (*ENVOY_PUSH_ORDER, VIRTUAL_HOST_TYPE),
)
SERVICES: Final = ConsumerGroup(contract.SERVICE_NODE_CLUSTER, contract.POLICY_TYPES)
GROUPS: Final = (ENVOYS, SERVICES)


def short_name(type_url: str) -> str:
    """The message's own name, for labels and logs: `Cluster`."""
    return type_url.rpartition(".")[2]
