"""What a store's client raises is a kind that an operator can act on."""

import pytest
from redis import exceptions as redis_errors

from ratelimit_service.failures import FailureKind, kind_of, unanswered


def wrapped(error):
    """As the client raises what went wrong while it connected."""
    lost = redis_errors.ConnectionError(error)
    lost.__cause__ = error
    return lost


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis_errors.AuthenticationError("WRONGPASS"), FailureKind.LOGIN),
        (wrapped(redis_errors.AuthenticationError("WRONGPASS")), FailureKind.LOGIN),
        (redis_errors.NoPermissionError("no rights"), FailureKind.LOGIN),
        (redis_errors.OutOfMemoryError("full"), FailureKind.FULL),
        (redis_errors.BusyLoadingError("loading"), FailureKind.LOADING),
        (redis_errors.ReadOnlyError("replica"), FailureKind.READ_ONLY),
        (redis_errors.MasterDownError("no master"), FailureKind.READ_ONLY),
        (redis_errors.ClusterDownError("Hash slot not served"), FailureKind.CLUSTER),
        (redis_errors.TryAgainError("moving"), FailureKind.CLUSTER),
        (redis_errors.TimeoutError("late"), FailureKind.TIMEOUT),
        (TimeoutError(), FailureKind.TIMEOUT),
        (redis_errors.ConnectionError("refused"), FailureKind.CONNECTION),
        (wrapped(OSError("refused")), FailureKind.CONNECTION),
        (redis_errors.InvalidResponse("bytes of another protocol"), FailureKind.CONNECTION),
        (FileNotFoundError("password file"), FailureKind.CONNECTION),
        (redis_errors.ResponseError("MISCONF disk is full"), FailureKind.DISK),
        (redis_errors.ResponseError("NOREPLICAS Not enough good replicas"), FailureKind.REPLICAS),
        (redis_errors.ResponseError("BUSY a script runs"), FailureKind.TIMEOUT),
        (redis_errors.ResponseError("WRONGTYPE not a hash"), FailureKind.ERROR),
    ],
    ids=repr,
)
def test_its_kind(error, kind):
    assert kind_of(error) is kind


def test_an_error_without_words_has_its_name():
    assert str(unanswered(TimeoutError())) == "TimeoutError"
