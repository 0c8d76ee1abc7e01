"""Why a store did not answer: what its client raises, as kinds that metrics count and operators can act on."""

from enum import Enum
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LateAnswer

from ratelimit_service.scripts import StoreUnavailable


class FailureKind(Enum):
    """What went wrong."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    LOGIN = "login"
    FULL = "full"
    LOADING = "loading"
    READ_ONLY = "read_only"
    DISK = "disk"
    REPLICAS = "replicas"
    CLUSTER = "cluster"
    # It was not asked: it failed before, and rests.
    RESTING = "resting"
    # Of one step alone, like a key that holds something else: the server is well.
    ERROR = "error"


# The first that fits; a class before those that it derives from.
BY_CLASS: Final[tuple[tuple[type[Exception], FailureKind], ...]] = (
    (AuthenticationError, FailureKind.LOGIN),
    (NoPermissionError, FailureKind.LOGIN),
    (OutOfMemoryError, FailureKind.FULL),
    (BusyLoadingError, FailureKind.LOADING),
    (ReadOnlyError, FailureKind.READ_ONLY),
    (MasterDownError, FailureKind.READ_ONLY),
    (ClusterDownError, FailureKind.CLUSTER),
    (TryAgainError, FailureKind.CLUSTER),
    (ClusterError, FailureKind.CLUSTER),
    (RedisClusterException, FailureKind.CLUSTER),
    (LateAnswer, FailureKind.TIMEOUT),
    (TimeoutError, FailureKind.TIMEOUT),
    (LostConnection, FailureKind.CONNECTION),
    (OSError, FailureKind.CONNECTION),
)
# Errors that the client has no class for, by their first word.
BY_WORD: Final = {
    "MISCONF": FailureKind.DISK,
    "NOREPLICAS": FailureKind.REPLICAS,
    "BUSY": FailureKind.TIMEOUT,
}
# Another server may have taken its place: the next connection finds out.
RECONNECT: Final = frozenset({FailureKind.READ_ONLY, FailureKind.LOGIN})


class Unanswered(StoreUnavailable):
    """A store's failure with its kind."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def kind_of(error: Exception) -> FailureKind:
    """The kind of what the client raised; a refusal while it connects hides in a lost connection."""
    if type(error) is LostConnection and isinstance(error.__cause__, RedisError):
        error = error.__cause__
    for types, kind in BY_CLASS:
        if isinstance(error, types):
            return kind
    if not isinstance(error, ResponseError):  # no answer that the client understands, as of a server that expects TLS
        return FailureKind.CONNECTION
    return BY_WORD.get(str(error).partition(" ")[0], FailureKind.ERROR)


def unanswered(error: Exception) -> Unanswered:
    """The client's error as ours."""
    return Unanswered(kind_of(error), str(error) or type(error).__name__)
