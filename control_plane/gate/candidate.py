"""A configuration on its way to go live: as written, as served, and what is held back of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from control_plane.checked import Checked
from control_plane.config.errors import ConfigError, Location
from control_plane.gate.parts import Element, Part
from control_plane.ir.model import Gateway
from control_plane.snapshot import Release

CURE: Final = "correct it; all else is live"


@dataclass(frozen=True)
class HeldBack:
    """A part of a configuration that is not live as it is written; an `absent` one is not live at all."""

    kind: str
    name: str
    location: Location
    reason: str
    absent: bool = False

    @property
    def error(self) -> ConfigError:
        """As the admin reads it."""
        instead = "it is not live" if self.absent else "its last good version stays live"
        message = f"{Part(self.kind, self.name)} is held back, {instead}: {self.reason}"
        return ConfigError(self.location, (), message, CURE)

    def __str__(self) -> str:
        return str(self.error)


@dataclass(frozen=True)
class Candidate:
    """What is or may go live: `gateway` and `release` are what is served of `checked`.

    `refused` has each part that was refused as it was, with the reason: as long as it is not changed, it is not tried
    again. `attempts` counts how often consumers have refused what was made of this configuration.
    """

    checked: Checked
    gateway: Gateway
    release: Release
    held: tuple[HeldBack, ...] = ()
    refused: Mapping[Part, tuple[Element, str]] = field(default_factory=lambda: MappingProxyType({}))
    attempts: int = 0
