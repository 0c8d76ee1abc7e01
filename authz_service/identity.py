"""What a verified credential grants, in the very characters in which it travels to everything downstream."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """Who calls and what they may. `None` is a part nobody named; the texts are encoded by `identity_part`.

    `named_consumer` is the consumer that the credential names on purpose: only by it is a declared one found.
    """

    subject: str
    consumer: str | None
    named_consumer: str | None
    tenant: str | None
    plan: str | None
    key_id: str | None
    scopes: frozenset[str]
    roles: frozenset[str]
    forward: bool
    # A plan that comes before the consumer's own.
    assigned_plan: str | None = None
    # The API key, by its id, that it lives by and is no more than.
    lives_by: str | None = None
    # The language models that it may call, as the part of the identity; None: all that its plan may.
    models: str | None = None
