"""Whether an API key opens anything now: by its text, and by the id that a token of the gateway names.

A key that is unknown, wrong, expired, revoked or of nobody is told apart in the log alone; finding out takes the same
steps for all of them.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from authz_service.keys import ApiKey, Consumer, KeySettings, Stored
from authz_service.policy import Policy
from service_kit.api_keys import HASH_LENGTH, key_hash, key_id

# What is compared where there is no such key.
_NOBODYS_HASH: Final = bytes(HASH_LENGTH)


@dataclass(frozen=True, slots=True)
class Dead:
    """No key, and why, for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is declared, and what is stored."""

    policy: Policy
    stored: Stored

    def consumer(self, name: str | None) -> Consumer | None:
        """The consumer of this name."""
        if name is None:
            return None
        return self.policy.consumers.get(name) or self.stored.consumers.get(name)

    def presented(self, text: bytes, settings: KeySettings, now: float) -> ApiKey | Dead:
        """The live key with this text."""
        digest, found = key_hash(settings.pepper, text), key_id(text)
        key = None if found is None else self._key(found)
        held = hmac.compare_digest(digest, _NOBODYS_HASH if key is None else key.hash)
        if found is None:
            return Dead("no_key")
        if key is None or not held:
            return Dead("unknown_id" if key is None else "wrong_secret")
        return self._live(key, now)

    def named(self, key_id: str, now: float) -> ApiKey | Dead:
        """The live key with this id; whoever names it has proved elsewhere that they may."""
        key = self._key(key_id)
        return Dead("unknown_id") if key is None else self._live(key, now)

    def _key(self, key_id: str) -> ApiKey | None:
        return self.policy.keys.get(key_id) or self.stored.keys.get(key_id)

    def _live(self, key: ApiKey, now: float) -> ApiKey | Dead:
        if key.expires and now >= key.expires:
            return Dead("expired")
        return Dead("unknown_consumer") if self.consumer(key.consumer) is None else key
