"""Keys that never collide."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ratelimit_service.keys import counter_key

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
