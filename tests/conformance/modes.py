"""The four ways in which a client can speak to the server, and which of them a statement is tested in."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from control_plane.server.types import short_name
from tests.conformance.statements import DELTA, SOTW, STATEMENTS

ADS: Final = "ads"
SEPARATE: Final = "separate"
NUMBERS: Final = re.compile(r"test((?:_\d\d)+)_")

Test = Callable[..., Any]


@dataclass(frozen=True)
class Mode:
    """A protocol, and one stream for all types or one for each."""

    protocol: str
    streams: str

    @property
    def delta(self) -> bool:
        return self.protocol == DELTA

    @property
    def separate(self) -> bool:
        return self.streams == SEPARATE

    def __str__(self) -> str:
        return f"{self.protocol}-{self.streams}"


SOTW_ADS: Final = Mode(SOTW, ADS)
DELTA_ADS: Final = Mode(DELTA, ADS)


def in_every_mode(test: Test) -> Test:
    """The test in the protocols of the statement whose number is in its name, over ADS and over separate streams."""
    return _in_modes(test, ADS, SEPARATE)


def over_ads(test: Test) -> Test:
    """The same where separate streams would be no other test."""
    return _in_modes(test, ADS)


def over_separate_streams(test: Test) -> Test:
    """The same where there is nothing to see on ADS."""
    return _in_modes(test, SEPARATE)


def of_types(*type_urls: str) -> pytest.MarkDecorator:
    """The test with each of these types as its `type_url`."""
    return pytest.mark.parametrize("type_url", type_urls, ids=short_name)


def numbers_of(name: str) -> tuple[int, ...]:
    """The statements that a test of this name is about."""
    found = NUMBERS.match(name)
    return () if found is None else tuple(int(number) for number in found[1].split("_") if number)


def _in_modes(test: Test, *streams: str) -> Test:
    (number,) = numbers_of(test.__name__)
    modes = [Mode(protocol, each) for protocol in STATEMENTS[number].protocols for each in streams]
    return pytest.mark.parametrize("mode", modes, ids=str)(test)
