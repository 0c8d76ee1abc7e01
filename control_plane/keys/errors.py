"""What can go wrong with stored keys and consumers, with its cure.

IdentityError
├── BadEntry           a value that cannot be stored
├── NotFound           there is no such key or consumer
├── Conflict           it is there already, or no longer in a state for this
├── StoreUnavailable   the database cannot be used now; asked again later, it may be
└── StoreUnusable      the database is not one to work with, until somebody sees to it
"""


class IdentityError(Exception):
    """What is wrong, and what to do."""

    def __init__(self, message: str, cure: str) -> None:
        self.message = message
        self.cure = cure
        super().__init__(f"{message}; {cure}" if cure else message)


class BadEntry(IdentityError):  # noqa: N818 - it is the entry that is bad
    """A value that cannot be stored."""


class NotFound(IdentityError):  # noqa: N818 - a verdict on what was asked
    """There is no such key or consumer."""


class Conflict(IdentityError):  # noqa: N818 - a verdict on what was asked
    """It is there already, or no longer in a state for this."""


class StoreUnavailable(IdentityError):  # noqa: N818 - it is the store that is unavailable
    """The database cannot be used now; nothing of what was asked is known to be done."""


class StoreUnusable(IdentityError):  # noqa: N818 - it is the store that is unusable
    """The database is not one to work with, until somebody sees to it."""
