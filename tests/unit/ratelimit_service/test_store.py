"""Keys that never collide, and addresses that are refused with a reason and without their password."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.store import StoreAddressError, counter_key, redis_store

untimed = settings(deadline=None)  # a busy machine is no fault
texts = st.text(st.sampled_from("ab:%{}=/é-") | st.characters(exclude_categories=["Cs"]), max_size=5)
part_lists = st.lists(texts, min_size=1, max_size=3)


@untimed
@given(part_lists, part_lists, part_lists, part_lists)
def test_different_parts_make_different_keys(slot, parts, other_slot, other_parts):
    same = counter_key(slot, parts) == counter_key(other_slot, other_parts)

    assert same == ((slot, parts) == (other_slot, other_parts))


@untimed
@given(part_lists, part_lists)
def test_the_slot_alone_is_in_the_braces(slot, parts):
    key = counter_key(slot, parts)

    assert key.count("{") == key.count("}") == 1
    assert key[: key.index("}")] == counter_key(slot, ["other"]).partition("}")[0]


@pytest.mark.parametrize("address", ["unix:/run/store.sock", "redis://localhost:6379/1", "rediss://:pw@store:6380"])
async def test_accepted_addresses(address):
    await redis_store(address).close()


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("localhost:6379", id="no-scheme"),
        pytest.param("unix:relative.sock", id="relative-path"),
        pytest.param("http://:hunter2@store", id="another-scheme"),
        pytest.param("redis://:hunter2@store:none", id="no-port"),
        pytest.param("redis://:hunter2/7@store", id="password-not-encoded"),
        pytest.param("redis://:hunter2@store?sokcet_timeout=1", id="unknown-option"),
    ],
)
def test_refused_addresses(address):
    with pytest.raises(StoreAddressError, match="store's address") as refusal:
        redis_store(address)

    assert "hunter2" not in str(refusal.value)
