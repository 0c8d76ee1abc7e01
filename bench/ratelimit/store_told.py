"""What a store tells of itself."""

from collections.abc import Mapping

from tests.support.valkey import StoreServer


def told(store: StoreServer, section: str) -> Mapping[str, str]:
    """The lines of INFO by their names."""
    lines: list[str] = store.command("INFO", section).decode().splitlines()
    return {name: value for name, found, value in (line.partition(":") for line in lines) if found}
