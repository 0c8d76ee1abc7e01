"""A store with many keys, and the file from which an authorizer starts with them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import insert, update

from control_plane.keys.database import SqliteDatabase
from control_plane.keys.entries import Declared
from control_plane.keys.identities import Identities
from control_plane.keys.tables import CONSUMERS, KEYS, STATE
from control_plane.snapshot import Snapshot
from service_kit.api_keys import Key, key_hash, new_key
from service_kit.clock import SystemClock
from service_kit.contract import AUTHZ_POLICY_NAME, AUTHZ_POLICY_TYPE
from service_kit.policy_cache import Held, save_policies
from service_kit.policy_database import PolicyDatabase
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

PEPPER = b"a pepper of a benchmark, which is no secret"
KEYS_OF_A_CONSUMER = 10
PLANS = ("free", "pro")
SERVICE = "authz_service"
POLICY = policy_pb.AuthzPolicy(
    plans=PLANS, api_keys=policy_pb.ApiKeySettings(headers=["x-api-key", "authorization"], pepper=PEPPER)
)


@dataclass(frozen=True)
class Corpus:
    """So many keys, ten of each consumer, in a folder."""

    folder: Path
    keys: int

    @property
    def url(self) -> str:
        return f"sqlite://{self.folder}/users.sqlite"

    @property
    def cache(self) -> Path:
        """What authorizers start from."""
        return self.folder / f"{SERVICE}.policies"

    @property
    def texts(self) -> list[str]:
        """Some of the keys."""
        return (self.folder / "texts").read_text().split()

    def identities(self, changed: Callable[[], None] = lambda: None) -> Identities:
        """Not opened yet."""
        made = Identities(
            self.url,
            PEPPER,
            clock=SystemClock(),
            log=structlog.get_logger(),
            random_bytes=os.urandom,
            changed=changed,
        )
        made.declare(Declared(plans=frozenset(PLANS)))
        return made

    def write(self) -> None:
        """The store, some of its keys, and nothing for authorizers yet."""
        keys = [new_key(os.urandom) for _ in range(self.keys)]
        database = SqliteDatabase(self.folder / "users.sqlite", PEPPER)
        now = int(SystemClock().now())
        consumers = [
            {"name": _owner(number), "tenant": "acme", "plan": "pro", "created_at": now, "created_by": "bench"}
            for number in range(0, self.keys, KEYS_OF_A_CONSUMER)
        ]
        stamps: dict[str, Any] = {"changed_at": now, "changed_by": "bench", "revision": 1}  # Any: of all columns
        database.run(lambda db: db.execute(insert(CONSUMERS), [{**consumer, **stamps} for consumer in consumers]))
        database.run(lambda db: db.execute(insert(KEYS), list(_rows(keys, now))))
        database.run(lambda db: db.execute(update(STATE).values(revision=1)))
        database.close()
        (self.folder / "texts").write_text("\n".join(key.text for key in keys[:1000]))

    def write_cache(self, snapshot: Snapshot) -> None:
        """What an authorizer keeps of it."""
        held = Held("1", POLICY.SerializeToString())
        save_policies(self.cache, {AUTHZ_POLICY_TYPE: {AUTHZ_POLICY_NAME: held}})
        resources = PolicyDatabase(self.cache.with_suffix(".resources"))
        for type_url, named in snapshot.resources.items():
            resources.write(type_url, {name: Held(item.version, item.body) for name, item in named.items()}, ())


def _rows(keys: list[Key], now: int) -> Iterator[dict[str, Any]]:  # Any: of all columns
    for number, key in enumerate(keys):
        yield {
            "id": key.id,
            "hash": key_hash(PEPPER, key.text.encode()),
            "consumer": _owner(number),
            "plan": None,
            "scopes": ["email.read", "email.send"],
            "roles": [],
            "allow_ips": ["10.0.0.0/8"],
            "expires": now + 10**8 if number % 2 else None,
            "created_at": now,
            "created_by": "bench",
            "revision": 1,
        }


def _owner(number: int) -> str:
    return f"consumer-{number // KEYS_OF_A_CONSUMER}"
