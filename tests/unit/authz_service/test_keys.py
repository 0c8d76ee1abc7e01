import pytest

from authz_service.keys import Stored
from service_kit.api_keys import HASH_LENGTH
from service_kit.subscription import PolicyRejected
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

FIRST, SECOND, THIRD = "a" * 12, "b" * 12, "c" * 12


def key(key_id: str, **fields: object) -> bytes:
    return policy_pb.ApiKey(id=key_id, consumer="acme", **{"hash": bytes(HASH_LENGTH), **fields}).SerializeToString()


@pytest.mark.parametrize(
    ("unreadable", "error"),
    [
        pytest.param(key(SECOND, hash=b"short"), PolicyRejected, id="refused"),
        pytest.param(None, TypeError, id="a fault of ours"),
    ],
)
def test_of_a_change_that_cannot_be_read_nothing_stays_that_it_names(unreadable: object, error: type[Exception]):
    stored = Stored()
    stored.change_keys({FIRST: key(FIRST), SECOND: key(SECOND), THIRD: key(THIRD)}, ())
    with pytest.raises(error):
        stored.change_keys({SECOND: unreadable}, (FIRST,))

    assert stored.keys.keys() == {THIRD}
