"""Bytes that depend on the content alone."""

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st
from xds.type.v3 import typed_struct_pb2 as typed_struct_pb

from control_plane.xds.packing import packed, seconds, serialized, typed_struct


@given(fields=st.dictionaries(st.text(max_size=5), st.booleans() | st.integers(0, 2**40), min_size=2), data=st.data())
def test_the_order_of_a_map_does_not_matter(fields: dict[str, float], data: st.DataObject) -> None:
    mixed = dict(data.draw(st.permutations(list(fields.items()))))
    first, second = Struct(), Struct()
    first.update(fields)
    second.update(mixed)

    assert serialized(first) == serialized(second)
    assert typed_struct("t", fields) == typed_struct("t", mixed)


def test_any_names_its_type() -> None:
    assert packed(Struct()).type_url == "type.googleapis.com/google.protobuf.Struct"


def test_a_typed_struct_names_the_type_it_stands_for() -> None:
    wrapped = typed_struct("envoy.of.the.Future", {"size": 3})

    found = typed_struct_pb.TypedStruct.FromString(wrapped.value)
    assert found.type_url == "type.googleapis.com/envoy.of.the.Future"
    assert dict(found.value.items()) == {"size": 3}


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, (0, 0)), (0.001, (0, 1_000_000)), (1.5, (1, 500_000_000)), (86400.0, (86400, 0))]
)
def test_seconds(value: float, expected: tuple[int, int]) -> None:
    duration = seconds(value)

    assert (duration.seconds, duration.nanos) == expected
