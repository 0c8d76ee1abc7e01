"""Whatever bytes arrive, the authorizer answers, and answers no."""

from functools import cache

from envoy.service.auth.v3 import external_auth_pb2 as auth_pb
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.authz import ROUTE, Gate, check_request, gate, signed, unpadded

SETTINGS = settings(max_examples=150, deadline=None)
SEGMENTS = st.one_of(st.binary(max_size=60).map(unpadded), st.text(max_size=20), st.sampled_from(signed().split(".")))


@cache
def standing() -> Gate:
    return gate()


def answers_no(request: bytes) -> bool:
    """Whether the answer is a whole refusal, and no fault behind it."""
    response = auth_pb.CheckResponse.FromString(standing().service.answer(request))
    assert "authorizer_failed" not in response.denied_response.body
    return response.status.code != 0 and response.denied_response.status.code in {400, 401, 403, 503}


@SETTINGS
@given(st.binary(max_size=400))
def test_random_bytes_as_a_request(data: bytes):
    assert answers_no(data)


@SETTINGS
@given(st.lists(st.binary(max_size=60), max_size=3))
def test_random_bytes_as_credentials(values: list[bytes]):
    assert answers_no(check_request([("authorization", value) for value in values]))


@SETTINGS
@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_tokens_pieced_together(segments: list[str]):
    token = ".".join(segments)

    assert token == signed() or answers_no(check_request([("authorization", "Bearer " + token)]))


@SETTINGS
@given(st.data())
def test_a_good_token_with_one_byte_changed(data: st.DataObject):
    good = signed().encode()
    place = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[place]))

    token = good[:place] + bytes([byte]) + good[place + 1 :]
    assert answers_no(check_request([("authorization", b"Bearer " + token)]))


@SETTINGS
@given(st.dictionaries(st.sampled_from([*ROUTE, "scopes", "roles", "x", ""]), st.text(max_size=12)))
def test_random_demands_without_a_credential(demands: dict[str, str]):
    assert answers_no(check_request([], demands))
