"""What is fetched for a configuration: it counts as its files, under names of one beginning that are no paths.

So it is part of what a configuration was made of: whatever else was fetched is another configuration in the history,
and two control planes that hold the same serve the same versions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from control_plane.config.load import Loaded


def with_fetched(loaded: Loaded, prefix: str, names: Iterable[str], fetched: Mapping[str, bytes]) -> Loaded:
    """The configuration with these in place of others; for a name that has nothing, it keeps what it has."""
    found = ((name, fetched.get(name, loaded.referenced.get(name))) for name in names)
    held = {name: content for name, content in found if content is not None}
    inputs = loaded.inputs
    others = {file: content for file, content in inputs.referenced.items() if not file.name.startswith(prefix)}
    referenced = {name: content for name, content in loaded.referenced.items() if not name.startswith(prefix)}
    return replace(
        loaded,
        referenced=MappingProxyType(referenced | held),
        inputs=replace(inputs, referenced=MappingProxyType(others | {Path(name): held[name] for name in held})),
    )


def recorded(referenced: Mapping[Path, bytes], prefix: str) -> Mapping[str, bytes]:
    """What was fetched among all that a configuration was once made of."""
    return {file.name: content for file, content in referenced.items() if file.name.startswith(prefix)}
