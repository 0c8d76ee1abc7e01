"""Where a control plane keeps its keys, and the pepper that it hashes them with."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from control_plane.config import model as config
from control_plane.keys.entries import Declared
from control_plane.keys.errors import StoreUnusable
from service_kit.api_keys import SHORTEST_PEPPER
from service_kit.private_files import kept_secret

DATABASE_NAME: Final = "users.sqlite"
PEPPER_NAME: Final = "key_pepper"


@dataclass(frozen=True)
class StoreSettings:
    """The database, whose URL may hold a password, and the pepper."""

    url: str = field(repr=False)
    pepper: bytes = field(repr=False)


def store_settings(source: config.Config, state_dir: Path, kept: Callable[[], bytes] | None = None) -> StoreSettings:
    """What the configuration says, else what is in the state directory. StoreUnusable where that cannot be used.

    `kept` gives the pepper of the state directory, for who has read it before.
    """
    keys = source.identity.api_keys
    if keys.pepper is not None:
        pepper = keys.pepper.get_secret_value().encode()
    else:
        pepper = kept_pepper(state_dir) if kept is None else kept()
    url = keys.store.get_secret_value() or f"sqlite://{(state_dir / DATABASE_NAME).absolute()}"
    return StoreSettings(url, pepper)


def kept_pepper(state_dir: Path) -> bytes:
    """The pepper of the state directory, made on first use; whoever puts it into a configuration keeps the keys."""
    file = state_dir / PEPPER_NAME
    try:
        pepper = kept_secret(file, lambda: secrets.token_urlsafe(SHORTEST_PEPPER)).encode()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise StoreUnusable(f"{file}: {reason}", "make it readable, or write `identity.api_keys.pepper`") from error
    if len(pepper) < SHORTEST_PEPPER:
        message = f"{file}: the pepper is shorter than {SHORTEST_PEPPER} bytes"
        raise StoreUnusable(message, "restore it from a backup")
    return pepper


def declared(source: config.Config) -> Declared:
    """What a configuration takes from those who make keys and consumers, and the plans that it gives them."""
    return Declared(
        consumers=frozenset(consumer.name for consumer in source.consumers),
        keys=frozenset(key.id for consumer in source.consumers for key in consumer.keys),
        plans=frozenset(source.plans),
        aliases={alias: model.name for model in source.models for alias in model.aliases},
    )
