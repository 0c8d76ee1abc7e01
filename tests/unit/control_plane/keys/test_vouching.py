"""What Envoys vouch for follows what the services are told: keys turn, and tokens are in doubt until they are dead."""

import asyncio
from collections.abc import Iterable, Mapping

import pytest
import structlog
from prometheus_client import CollectorRegistry

from control_plane.evolving import Evolving
from control_plane.ir.model import Gateway
from control_plane.keys.vouching import DOUBTED, LATE, MOST_DOUBTED, Vouching
from control_plane.server.ads import Ads
from control_plane.snapshot import EMPTY, Resource, Snapshot, resource
from control_plane.xds.filters.native.own import Doubts, content
from control_plane.xds.names import EXTENSION_TYPE
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE, SIGNING_KEYS_NAME, SIGNING_KEYS_TYPE
from service_kit.gateway_tokens import SigningKey, public_keys, signing_key
from tests.support.clock import StillClock
from tests.support.compiled import compiled, config, route
from tests.support.eventually import eventually
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

NOW = int(StillClock().now())
HASH = f"hmac-sha256:{'0' * 64}"
FIRST, SECOND = "k1" * 6, "k2" * 6
TOKENS = {"issuer": "https://gateway.example.com", "audiences": ["email"]}


def gateway(*keys: Mapping[str, object], enforce: str = "envoy", tenant: str = "one") -> Gateway:
    consumers = [{"name": "acme", "tenant": tenant, "keys": list(keys)}]
    written = config(
        identity={"tokens": {**TOKENS, "enforce": enforce}}, consumers=consumers, routes=[route(auth=["jwt"])]
    )
    return compiled(written).gateway


def signer(number: int, signs_from: int = NOW) -> SigningKey:
    return signing_key(number.to_bytes(32), signs_from)


def key(name: str, expires: int = 0, **changes: str) -> Resource:
    body = policy_pb.ApiKey(id=name, consumer="shop", expires=expires, **changes).SerializeToString()
    return resource(API_KEY_TYPE, name, body)


def consumer(name: str, plan: str = "") -> Resource:
    return resource(CONSUMER_TYPE, name, policy_pb.Consumer(name=name, plan=plan).SerializeToString())


class Told:
    """What the services are told, change by change, and what follows for Envoys."""

    def __init__(self) -> None:
        self.clock = StillClock()
        ads = Ads(clock=self.clock, log=structlog.get_logger(), registry=CollectorRegistry())
        self.vouching = Vouching(ads, self.clock)
        self.ring: tuple[SigningKey, ...] = ()
        self._snapshot = EMPTY

    def identities(self, *named: Resource, gone: Iterable[str] = ()) -> None:
        """These keys and consumers are as they are here; those of these names are gone."""
        for type_url in (API_KEY_TYPE, CONSUMER_TYPE):
            before = self._snapshot.of(type_url)
            known = before if isinstance(before, Evolving) else Evolving[Resource].of({})
            changed = {item.name: item for item in named if item.type_url == type_url}
            self._tell(type_url, known.changed(changed, [name for name in gone if name in known]))

    def keys(self, *ring: SigningKey) -> None:
        self.ring = ring
        keys = (policy_pb.SigningKey(private_key=item.number, signs_from=item.signs_from) for item in ring)
        body = policy_pb.SigningKeys(keys=keys).SerializeToString()
        told = resource(SIGNING_KEYS_TYPE, SIGNING_KEYS_NAME, body)
        self._tell(SIGNING_KEYS_TYPE, Evolving.of({told.name: told}))

    def says(self, live: Gateway, doubts: Doubts | None) -> bool:
        """Whether Envoys vouch for all tokens but for these; None: for none."""
        keys = None if doubts is None else public_keys(self.ring)
        expected = {
            item.name: item.SerializeToString(deterministic=True) for item in content(live, keys, doubts or Doubts())
        }
        return expected == {name: item.body for name, item in self.vouching.told.of(EXTENSION_TYPE).items()}

    def _tell(self, type_url: str, named: Evolving[Resource]) -> None:
        before, self._snapshot = self._snapshot, Snapshot({**self._snapshot.resources, type_url: named})
        self.vouching.tell(before, self._snapshot)


@pytest.fixture
def told() -> Told:
    """Stored keys, then the first signing key, as in a gateway that has just begun."""
    found = Told()
    found.identities(key(FIRST), key(SECOND), consumer("shop"))
    found.keys(signer(1))
    return found


def test_nothing_is_told_before_a_configuration_wants_it(told: Told) -> None:
    told.vouching.follow(gateway(enforce="service"))
    assert told.vouching.told == EMPTY

    live = gateway()
    told.vouching.follow(live)
    assert told.says(live, Doubts())


def test_a_configuration_that_wants_it_no_more_is_told(told: Told) -> None:
    told.vouching.follow(gateway())
    other = gateway(enforce="service")
    told.vouching.follow(other)

    assert told.says(other, None)


def test_signing_keys_are_told_as_they_turn_and_nothing_private_is(told: Told) -> None:
    live = gateway()
    told.vouching.follow(live)
    told.keys(signer(1), signer(2, NOW + 3_600))
    assert told.says(live, Doubts())

    told.keys(signer(3))
    assert told.says(live, Doubts())
    bodies = b"".join(item.body for item in told.vouching.told.of(EXTENSION_TYPE).values())
    assert signer(3).id.encode() in bodies
    assert signer(1).id.encode() not in bodies
    assert b'"d"' not in bodies


@pytest.mark.parametrize(
    ("change", "doubts"),
    [
        pytest.param(lambda told: told.identities(gone=[FIRST]), Doubts(keys=(FIRST,)), id="revoked"),
        pytest.param(lambda told: told.identities(key(FIRST, NOW + 60)), Doubts(keys=(FIRST,)), id="rotated"),
        pytest.param(lambda told: told.identities(gone=["shop", FIRST, SECOND]),
                     Doubts(keys=(FIRST, SECOND), consumers=("shop",)), id="consumer-deleted"),
        pytest.param(lambda told: told.identities(consumer("shop", "pro")), Doubts(consumers=("shop",)), id="plan"),
        pytest.param(lambda told: told.identities(key("k3" * 6), consumer("new")), Doubts(), id="made"),
    ],
)  # fmt: skip
async def test_what_became_another_is_in_doubt_until_its_tokens_are_dead(told: Told, change, doubts: Doubts) -> None:
    live = gateway()
    told.vouching.follow(live)
    change(told)
    assert told.says(live, doubts)

    forgetting = asyncio.create_task(told.vouching.run())
    try:
        told.clock.advance(DOUBTED - 1)
        told.keys(signer(1), signer(2, NOW + 3_600))  # wakes it
        await asyncio.sleep(0)
        assert told.says(live, doubts)

        told.clock.advance(1)
        told.keys(signer(1))
        await eventually(lambda: told.says(live, Doubts()))
    finally:
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)


def test_a_key_whose_time_was_up_has_no_tokens(told: Told) -> None:
    live = gateway()
    told.vouching.follow(live)
    told.identities(key("k3" * 6, NOW + 60))
    told.clock.advance(60)
    told.identities(gone=["k3" * 6])

    assert told.says(live, Doubts())


def test_what_the_configuration_declares_otherwise_is_in_doubt(told: Told) -> None:
    first, second = {"id": FIRST, "hash": HASH}, {"id": SECOND, "hash": HASH}
    told.vouching.follow(gateway(first, second))
    live = gateway({**first, "scopes": ["email.read"]})
    told.vouching.follow(live)
    assert told.says(live, Doubts(keys=(FIRST, SECOND)))

    moved = gateway({**first, "scopes": ["email.read"]}, tenant="two")
    told.vouching.follow(moved)
    assert told.says(moved, Doubts(keys=(FIRST, SECOND), consumers=("acme",)))


def test_of_what_was_issued_before_this_process_knew_the_keys_nothing_is_known() -> None:
    told, live = Told(), gateway()
    told.vouching.follow(live)
    told.keys(signer(1, NOW - 1))
    assert told.says(live, None)

    told.clock.advance(7)
    told.identities(key(FIRST))
    assert told.says(live, Doubts(issued_before=NOW + 7 + LATE))


def test_many_at_once_are_all_that_was_issued(told: Told) -> None:
    live = gateway()
    told.vouching.follow(live)
    many = [f"{number:012}" for number in range(MOST_DOUBTED + 1)]
    told.identities(*map(key, many))
    told.clock.advance(5)
    told.identities(gone=many)

    assert told.says(live, Doubts(issued_before=NOW + 5 + LATE))
