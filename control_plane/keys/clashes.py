"""What a configuration may not say once keys are stored: two things of one name, or another store or pepper."""

from collections.abc import Iterator

from control_plane.config import model as config
from control_plane.config.errors import Problem
from control_plane.keys.settings import StoreSettings
from control_plane.snapshot import Snapshot
from service_kit.contract import API_KEY_TYPE, CONSUMER_TYPE


def clashes(source: config.Config, stored: Snapshot) -> Iterator[Problem]:
    """Consumers and keys that are declared, and stored as well."""
    consumers, keys = stored.of(CONSUMER_TYPE), stored.of(API_KEY_TYPE)
    for index, consumer in enumerate(source.consumers):
        if consumer.name in consumers:
            cure = f"drop one: `tollgate consumers delete {consumer.name}` deletes that and revokes its keys"
            yield Problem(("consumers", index, "name"), f"a consumer {consumer.name!r} was made at run time, too", cure)
        for number, key in enumerate(consumer.keys):
            if key.id in keys:
                cure = f"drop one: `tollgate keys revoke {key.id}` revokes that"
                path = ("consumers", index, "keys", number, "id")
                yield Problem(path, f"a key {key.id!r} was made at run time, too", cure)


def moved(meant: StoreSettings, running: StoreSettings) -> Iterator[Problem]:
    """Another store or pepper than this process works with, which it does not exchange under the keys it serves."""
    path = ("identity", "api_keys")
    if meant.url != running.url:
        yield Problem((*path, "store"), "this is another store than the running one", "restart the control plane")
    if meant.pepper != running.pepper:
        cure = "keep the one that keys were made under, or restart the control plane with a new store"
        yield Problem((*path, "pepper"), "this is another pepper than the running one", cure)
