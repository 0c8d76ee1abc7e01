"""The signing keys of a running gateway: kept beside the API keys, turned when it is time, told at once.

Several control planes on one database turn one ring: each step reads what is there, under the lock of the database.
While the database is away, what was told goes on signing.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from control_plane.config import model as config
from control_plane.config.errors import Problem
from control_plane.evolving import Evolving
from control_plane.keys.distribution import Distribution
from control_plane.keys.errors import Conflict, IdentityError
from control_plane.keys.identities import Identities
from control_plane.keys.signing.ring import Ring, replaced, turned
from control_plane.keys.signing.sealed import CannotUnseal, sealed, unsealed
from control_plane.snapshot import Resource, Snapshot, resource
from service_kit.api_keys import RandomBytes
from service_kit.clock import Clock
from service_kit.contract import SIGNING_KEYS_NAME, SIGNING_KEYS_TYPE
from service_kit.gateway_tokens import SigningKey, drawn_signing_key
from service_kit.log import Logger
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# Seconds between two looks at what others have turned, and at the clock.
LOOK_AGAIN: Final = 5.0

# From the ring that is kept to the one that there is to be.
Change = Callable[[Ring], Ring]
# Told the names of keys that were made because it was time.
Turned = Callable[[Sequence[str]], None]


class SigningKeys:
    """The ring of one gateway. While no configuration asks for tokens, it is told to be empty."""

    def __init__(
        self,
        distribution: Distribution,
        *,
        clock: Clock,
        log: Logger,
        random_bytes: RandomBytes,
        has_endpoint: bool,
        turned: Turned = lambda _: None,
    ) -> None:
        self._distribution = distribution
        self._clock = clock
        self._log = log
        self._random_bytes = random_bytes
        self._has_endpoint = has_endpoint
        self._turned = turned
        self._kept: tuple[Identities, bytes] | None = None
        self._is_wanted = False
        self._look = asyncio.Event()
        self._in_order = asyncio.Lock()  # what was kept first is told first
        self._told: Evolving[Resource] | None = None
        self._reachable = True
        self.ring: Ring = ()

    def keep_in(self, identities: Identities, pepper: bytes) -> None:
        """Where the ring is kept, and under what."""
        self._kept = identities, pepper

    def problems(self, source: config.Config) -> tuple[Problem, ...]:
        """What keeps this control plane from issuing tokens as a configuration says."""
        if source.identity.tokens is None or self._has_endpoint:
            return ()
        cure = "start the control plane with --oauth and the authorizer with --http, both with the same unix:/path"
        return (Problem(("identity", "tokens"), "no authorizer issues tokens here", cure, at_key=True),)

    def follow(self, source: config.Config) -> None:
        """Another configuration is live."""
        self._is_wanted = source.identity.tokens is not None
        if not self._is_wanted:
            self._tell(())
        self._look.set()

    async def run(self) -> None:
        """Turns the ring when it is time, forever."""
        while True:
            self._look.clear()
            if self._is_wanted:
                await self._follow()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._look.wait()

    async def replace(self) -> Ring:
        """New keys in place of all, now; every token that was signed before is refused."""
        self._check_wanted()
        return await self._step(lambda _: replaced(self._clock.now(), self._make))

    async def current(self) -> Ring:
        """The keys there are; made now where there are none yet."""
        self._check_wanted()
        return self.ring or await self._turn()

    async def _follow(self) -> None:
        try:
            await self._turn()
        except IdentityError as error:
            if self._reachable:
                self._log.warning("signing keys cannot be read", reason=error.message, cure=error.cure)
            self._reachable = False
        else:
            self._reachable = True

    async def _turn(self) -> Ring:
        made: list[str] = []

        def make(signs_from: int) -> SigningKey:
            key = self._make(signs_from)
            made.append(key.id)
            return key

        ring = await self._step(lambda before: turned(before, self._clock.now(), make))
        if made:
            self._turned(made)
        return ring

    async def _step(self, change: Change) -> Ring:
        if self._kept is None:
            raise RuntimeError("the first configuration says where signing keys are kept")
        identities, pepper = self._kept
        async with self._in_order:
            kept = await identities.turn_signing_keys(lambda before: self._changed(before, change, pepper))
            self._tell(unsealed(kept, pepper))
        return self.ring

    def _changed(self, before: bytes | None, change: Change, pepper: bytes) -> bytes:
        ring = self._unsealed(before, pepper)
        after = change(ring)
        return before if before is not None and after == ring else sealed(after, pepper, self._random_bytes)

    def _unsealed(self, kept: bytes | None, pepper: bytes) -> Ring:
        try:
            return () if kept is None else unsealed(kept, pepper)
        except CannotUnseal as error:
            self._log.warning("signing keys are made anew", reason=str(error))
            return ()

    def _make(self, signs_from: int) -> SigningKey:
        key = drawn_signing_key(signs_from, self._random_bytes)
        self._log.info("signing key made", kid=key.id, signs_from=signs_from)
        return key

    def _check_wanted(self) -> None:
        if not self._is_wanted:
            raise Conflict("this gateway issues no tokens", "write `identity.tokens`")

    def _tell(self, ring: Ring) -> None:
        """Always the one resource: that nothing is signed is said, too."""
        if self._told is not None and ring == self.ring:
            return
        self.ring = ring
        told = resource(SIGNING_KEYS_TYPE, SIGNING_KEYS_NAME, _message(ring).SerializeToString(deterministic=True))
        before: Evolving[Resource] = Evolving.of({}) if self._told is None else self._told
        self._told = before.changed({told.name: told})
        self._distribution.tell(Snapshot(MappingProxyType({SIGNING_KEYS_TYPE: self._told})))


def _message(ring: Ring) -> policy_pb.SigningKeys:
    keys = (policy_pb.SigningKey(private_key=key.number, signs_from=key.signs_from) for key in ring)
    return policy_pb.SigningKeys(keys=keys)
