"""What stored keys and consumers promise, on each database."""

import asyncio
import hashlib
import hmac
from dataclasses import replace

import pytest
from sqlalchemy import text

from control_plane.keys.checked import LATEST
from control_plane.keys.entries import ConsumerChange, ConsumerSpec, KeySpec, KeyState
from control_plane.keys.errors import BadEntry, Conflict, NotFound, StoreUnusable
from service_kit.api_keys import key_id
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE
from tests.support.clock import StillClock
from tests.support.identities import PEPPER, identities, opened
from tollgate_pb.tollgate.policy.v1.policy_pb2 import ApiKey, Consumer, Models

NETWORKS = ("10.0.0.0/8", "2001:db8::/32")
SPEC = KeySpec("declared", ("send", "read"), ("mailer",), "pro", NETWORKS, models=("mistral", "llama3.1:*"))
NORMAL = KeySpec("declared", ("read", "send"), ("mailer",), "pro", NETWORKS, models=("llama3.1:*", "mistral"))


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
async def stored(url, clock):
    async with opened(url, clock) as found:
        yield found


def told_keys(stored):
    return {name: ApiKey.FromString(item.body) for name, item in stored.snapshot.of(API_KEY_TYPE).items()}


def told_consumers(stored):
    return {name: Consumer.FromString(item.body) for name, item in stored.snapshot.of(CONSUMER_TYPE).items()}


async def test_a_key_is_shown_once_and_kept_as_its_hash(stored, clock):
    made = await stored.create_key(SPEC, by="ops")

    assert key_id(made.text.encode()) == made.key.id
    assert made.text not in repr(made)
    assert (made.key.spec, made.key.created_by, made.key.created_at) == (NORMAL, "ops", int(clock.now()))
    told = told_keys(stored)[made.key.id]
    assert told == ApiKey(
        id=made.key.id,
        hash=hmac.digest(PEPPER, made.text.encode(), hashlib.sha256),
        consumer="declared",
        scopes=["read", "send"],
        roles=["mailer"],
        allow_ips=["10.0.0.0/8", "2001:db8::/32"],
        plan="pro",
        models=Models(patterns=["llama3.1:*", "mistral"]),
    )


async def test_what_was_acknowledged_is_there_for_the_next_process(url, clock):
    async with opened(url, clock) as first:
        await first.create_consumer(ConsumerSpec("bob", "acme", "free"), by="ops")
        kept = await first.create_key(KeySpec("bob", expires=int(clock.now()) + 60), by="ops")
        gone = await first.create_key(KeySpec("bob"), by="ops")
        await first.revoke(gone.key.id, by="ops")
        versions = [first.snapshot.version(type_url) for type_url in (API_KEY_TYPE, CONSUMER_TYPE)]

    async with opened(url, clock) as second:
        assert set(told_keys(second)) == {kept.key.id}
        assert told_consumers(second) == {"bob": Consumer(name="bob", tenant="acme", plan="free")}
        assert [second.snapshot.version(type_url) for type_url in (API_KEY_TYPE, CONSUMER_TYPE)] == versions


async def test_a_rotated_key_lives_on_for_the_overlap(stored, clock):
    spec = KeySpec("declared", ("read",), expires=int(clock.now()) + 1000, models=("mistral",))
    old = await stored.create_key(spec, by="ops")
    clock.advance(400)

    new = await stored.rotate(old.key.id, overlap=100, by="auto")

    now = int(clock.now())
    before = await stored.key(old.key.id)
    assert (before.rotated_to, before.spec.expires, before.state(now)) == (new.key.id, now + 100, KeyState.ACTIVE)
    assert before.state(now + 100) == KeyState.EXPIRED
    assert (new.key.spec, new.key.created_by) == (replace(spec, expires=now + 1000), "auto")
    assert {name: key.expires for name, key in told_keys(stored).items()} == {
        old.key.id: now + 100,
        new.key.id: now + 1000,
    }


async def test_an_overlap_lengthens_no_life(stored, clock):
    end = int(clock.now()) + 10
    old = await stored.create_key(KeySpec("declared", expires=end), by="ops")

    await stored.rotate(old.key.id, overlap=1000, by="ops")

    assert (await stored.key(old.key.id)).spec.expires == end


async def test_a_key_for_all_time_lives_no_longer_by_being_rotated(stored, clock):
    old = await stored.create_key(KeySpec("declared", expires=LATEST), by="ops")
    clock.advance(86_400)
    new = await stored.rotate(old.key.id, overlap=0, by="ops")

    assert new.key.spec.expires == LATEST, "a year with five digits is none that could be shown"


async def test_a_key_is_rotated_once_and_only_while_it_is_good(stored, clock):
    once = await stored.create_key(KeySpec("declared"), by="ops")
    new = await stored.rotate(once.key.id, overlap=0, by="ops")
    with pytest.raises(Conflict, match=f"was rotated already; rotate {new.key.id}"):
        await stored.rotate(once.key.id, overlap=0, by="ops")

    await stored.revoke(new.key.id, by="ops")
    with pytest.raises(Conflict, match="is revoked; create a new one"):
        await stored.rotate(new.key.id, overlap=0, by="ops")

    short = await stored.create_key(KeySpec("declared", expires=int(clock.now()) + 5), by="ops")
    clock.advance(5)
    with pytest.raises(Conflict, match="is expired; create a new one"):
        await stored.rotate(short.key.id, overlap=0, by="ops")


async def test_a_revoked_key_is_told_no_more_and_revoking_again_changes_nothing(stored, clock):
    made = await stored.create_key(SPEC, by="ops")

    revoked = await stored.revoke(made.key.id, by="eve")
    clock.advance(60)
    again = await stored.revoke(made.key.id, by="bob")

    assert told_keys(stored) == {}
    assert (again.revoked_by, again.revoked_at) == ("eve", int(clock.now()) - 60)
    assert again == revoked


async def test_keys_are_listed_page_by_page_in_order_of_age(stored, clock):
    made = []
    for number in range(7):
        made.append((await stored.create_key(KeySpec("declared"), by="ops")).key.id)
        clock.advance(1 if number % 2 else 0)
    await stored.create_consumer(ConsumerSpec("bob"), by="ops")
    other = (await stored.create_key(KeySpec("bob"), by="ops")).key.id

    pages, after = [], None
    while page := await stored.keys(after=after, limit=3):
        pages.append([key.id for key in page])
        after = page[-1].id

    listed = [key for page in pages for key in page]
    assert [len(page) for page in pages] == [3, 3, 2]
    assert sorted(listed) == sorted([*made, other])
    assert [key.id for key in await stored.keys(consumer="bob")] == [other]
    ages = [(await stored.key(key)).created_at for key in listed]
    assert ages == sorted(ages)


async def test_a_consumer_that_is_deleted_takes_its_keys_along(stored):
    await stored.create_consumer(ConsumerSpec("bob"), by="ops")
    keys = [(await stored.create_key(KeySpec("bob"), by="ops")).key.id for _ in range(3)]
    await stored.revoke(keys[0], by="ops")
    kept = (await stored.create_key(KeySpec("declared"), by="ops")).key.id

    assert await stored.delete_consumer("bob", by="eve") == 2

    assert set(told_keys(stored)) == {kept}
    assert told_consumers(stored) == {}
    assert [(await stored.key(key)).revoked_by for key in keys] == ["ops", "eve", "eve"]
    with pytest.raises(NotFound):
        await stored.create_key(KeySpec("bob"), by="ops")


async def test_a_consumer_that_comes_back_does_not_bring_its_keys_back(stored):
    await stored.create_consumer(ConsumerSpec("bob", plan="pro"), by="ops")
    key = (await stored.create_key(KeySpec("bob"), by="ops")).key.id
    await stored.delete_consumer("bob", by="ops")

    await stored.create_consumer(ConsumerSpec("bob", "acme"), by="ops")

    assert told_consumers(stored) == {"bob": Consumer(name="bob", tenant="acme")}
    assert (await stored.key(key)).state(0) == KeyState.REVOKED
    assert told_keys(stored) == {}


async def test_a_consumer_is_updated(stored):
    await stored.create_consumer(ConsumerSpec("bob", "acme", "pro"), by="ops")

    await stored.update_consumer("bob", ConsumerChange("", "free"), by="eve")

    assert told_consumers(stored) == {"bob": Consumer(name="bob", plan="free")}
    assert [(found.name, found.tenant, found.plan, found.created_by) for found in await stored.consumers()] == [
        ("bob", None, "free", "ops")
    ]


async def test_two_who_change_a_consumer_at_once_both_do(stored):
    await stored.create_consumer(ConsumerSpec("bob"), by="ops")

    changes = (ConsumerChange(tenant="acme"), ConsumerChange(plan="free"))
    await asyncio.gather(*(stored.update_consumer("bob", change, by="ops") for change in changes))

    assert told_consumers(stored) == {"bob": Consumer(name="bob", tenant="acme", plan="free")}


async def test_uses_are_kept_without_being_told(stored, clock):
    made = await stored.create_key(SPEC, by="ops")
    before = stored.snapshot
    now = clock.now()

    await stored.used({made.key.id: now - 5.5, "unknown": now})
    await stored.used({made.key.id: now - 60, "": 1.0})
    assert (await stored.key(made.key.id)).last_used == int(now - 5.5)

    await stored.used({made.key.id: now + 10_000})
    assert (await stored.key(made.key.id)).last_used == int(now), "a clock that is ahead tells no future"
    assert stored.snapshot is before


async def test_each_change_is_announced_once(url, clock):
    announced = []
    async with opened(url, clock, changed=lambda: announced.append(1)) as stored:
        assert len(announced) == 1  # what was there
        made = await stored.create_key(SPEC, by="ops")
        await stored.revoke(made.key.id, by="ops")
        await stored.revoke(made.key.id, by="ops")
        await stored.keys()
        assert len(announced) == 3


REFUSED = [
    pytest.param(KeySpec("nobody"), NotFound, "no consumer 'nobody'; create it first", id="no-consumer"),
    pytest.param(KeySpec("-"), BadEntry, "consumer: '-' is no name", id="bad-consumer"),
    pytest.param(KeySpec("declared", plan="fre"), BadEntry, "no plan 'fre'; did you mean 'free'?", id="plan"),
    pytest.param(KeySpec("declared", ("a b",)), BadEntry, "scopes: 'a b' cannot travel", id="scope"),
    pytest.param(KeySpec("declared", roles=("a,b",)), BadEntry, "roles: 'a,b' cannot travel", id="role"),
    pytest.param(KeySpec("declared", allow_ips=("10.0.0.1/8",)), BadEntry, "allow_ips: .* bits of a host", id="ips"),
    pytest.param(KeySpec("declared", tuple(map(str, range(101)))), BadEntry, "more than 100", id="too-many"),
    pytest.param(
        KeySpec("declared", models=("a**",)), BadEntry, "models: 'a[*][*]' is no pattern of models", id="model"
    ),
    pytest.param(
        KeySpec("declared", models=tuple(f"{number}{'x' * 100}" for number in range(30))),
        BadEntry,
        "models: the list is longer than 2048 bytes; write patterns",
        id="models",
    ),
    pytest.param(KeySpec("declared", expires=1_700_000_000), BadEntry, "in the future", id="past"),
    pytest.param(KeySpec("declared", expires=2**62), BadEntry, "before the year 10000", id="far"),
]


@pytest.mark.parametrize(("spec", "error", "message"), REFUSED)
async def test_what_cannot_be_stored_says_why(stored, spec, error, message):
    with pytest.raises(error, match=message):
        await stored.create_key(spec, by="ops")

    assert await stored.keys() == ()


async def test_a_database_from_before_keys_had_models_is_brought_up_to_date(url, clock):
    async with opened(url, clock) as stored:
        old = await stored.create_key(KeySpec("declared", ("read",)), by="ops")
        await stored._ask(as_of_the_first_version)

    async with opened(url, clock) as stored:
        assert (await stored.key(old.key.id)).spec == old.key.spec
        assert not told_keys(stored)[old.key.id].HasField("models")
        new = await stored.create_key(KeySpec("declared", models=("mistral",)), by="ops")

    async with opened(url, clock) as stored:
        assert told_keys(stored)[new.key.id].models.patterns == ["mistral"]


def as_of_the_first_version(db):
    db.execute(text("ALTER TABLE tollgate_keys DROP COLUMN models"))
    db.execute(text("UPDATE tollgate_identities SET schema_version = 1"))


CONSUMERS_REFUSED = [
    pytest.param(ConsumerSpec("declared"), Conflict, "the configuration declares", id="declared"),
    pytest.param(ConsumerSpec("bob"), Conflict, "there is a consumer 'bob' already", id="stored"),
    pytest.param(ConsumerSpec("b b"), BadEntry, "name: 'b b' is no name", id="name"),
    pytest.param(ConsumerSpec("eve", tenant="a b"), BadEntry, "tenant: 'a b' cannot travel", id="tenant"),
    pytest.param(ConsumerSpec("eve", plan="gold"), BadEntry, "there is no plan 'gold'", id="plan"),
]


@pytest.mark.parametrize(("spec", "error", "message"), CONSUMERS_REFUSED)
async def test_a_consumer_that_cannot_be_made_says_why(stored, spec, error, message):
    await stored.create_consumer(ConsumerSpec("bob"), by="ops")

    with pytest.raises(error, match=message):
        await stored.create_consumer(spec, by="ops")

    assert [found.name for found in await stored.consumers()] == ["bob"]


@pytest.mark.parametrize("name", ["nobody", "declared"])
async def test_only_stored_consumers_are_changed(stored, name):
    with pytest.raises(NotFound, match="there is no stored consumer"):
        await stored.update_consumer(name, ConsumerChange("acme"), by="ops")
    with pytest.raises(NotFound, match="there is no stored consumer"):
        await stored.delete_consumer(name, by="ops")


@pytest.mark.parametrize("key", ["0" * 12, "", "x'; DROP TABLE tollgate_keys; --", "\N{SNOWMAN}"])
async def test_unknown_keys_are_not_found(stored, key):
    for asked in (stored.key(key), stored.revoke(key, by="ops"), stored.rotate(key, overlap=0, by="ops")):
        with pytest.raises(NotFound, match="there is no stored key"):
            await asked


@pytest.mark.parametrize("overlap", [-1, 32 * 86_400, float("nan")])
async def test_an_overlap_is_bounded(stored, overlap):
    with pytest.raises(BadEntry, match="overlap"):
        await stored.rotate("0" * 12, overlap=overlap, by="ops")


@pytest.mark.parametrize("by", ["", "a\nb", "x" * 257])
async def test_somebody_has_to_do_it(stored, by):
    with pytest.raises(BadEntry, match="by:"):
        await stored.create_key(SPEC, by=by)


async def test_changes_at_the_same_time_come_one_after_the_other(stored):
    old = await stored.create_key(SPEC, by="ops")

    outcomes = await asyncio.gather(
        *(stored.rotate(old.key.id, overlap=60, by="ops") for _ in range(5)),
        *(stored.create_key(SPEC, by="ops") for _ in range(5)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 4
    assert len(told_keys(stored)) == 7


async def test_a_caller_who_leaves_does_not_leave_the_change_untold(stored):
    made = await stored.create_key(SPEC, by="ops")

    leaving = asyncio.create_task(stored.revoke(made.key.id, by="ops"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await stored.keys()  # comes after it
    await stored.revoke(made.key.id, by="ops")

    assert told_keys(stored) == {}


async def test_keys_under_another_pepper_are_not_taken_for_ours(url, clock):
    async with opened(url, clock) as stored:
        await stored.create_key(SPEC, by="ops")

    other = identities(url, clock, pepper=b"another-pepper-of-more-than-32-bytes")
    with pytest.raises(StoreUnusable, match=r"under another pepper.*; give the pepper") as refused:
        await other.open()
    await other.close()

    assert other.snapshot is None
    assert "another-pepper-of" not in str(refused.value)


async def test_a_store_without_keys_takes_any_pepper(url, clock):
    async with opened(url, clock) as stored:
        await stored.create_consumer(ConsumerSpec("bob"), by="ops")

    other = identities(url, clock, pepper=b"another-pepper-of-more-than-32-bytes")
    await other.open()
    await other.create_key(KeySpec("bob"), by="ops")
    await other.close()

    again = identities(url, clock)
    with pytest.raises(StoreUnusable, match="under another pepper"):
        await again.open()
    await again.close()
