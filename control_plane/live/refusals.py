"""How it is said that a configuration cannot go live, where it is not the reader who says it."""

from collections.abc import Sequence
from types import MappingProxyType

from control_plane.checked import Checked
from control_plane.config.errors import ConfigError, InvalidConfig, Location, Problem
from control_plane.gate.candidate import Candidate
from service_kit.endpoint import TcpEndpoint


def refuse(problems: Sequence[Problem], checked: Checked) -> None:
    """InvalidConfig where there are any."""
    if problems:
        raise InvalidConfig([checked.loaded.marks.located(problem) for problem in problems], checked.loaded.files)


def refuse_a_part(candidate: Candidate) -> None:
    """InvalidConfig where a part of the candidate is held back."""
    if candidate.held:
        raise InvalidConfig([item.error for item in candidate.held], candidate.checked.loaded.files)


def refuse_a_moved_admin_address(checked: Checked, now: TcpEndpoint) -> None:
    """InvalidConfig where it is another one than that of now."""
    if checked.admin_address != now:
        problem = Problem(
            ("admin", "address"),
            f"the admin address is {now} and cannot move while the gateway runs",
            "restart the control plane to move it",
        )
        refuse((problem,), checked)


def whole_file(place: Location, message: str) -> InvalidConfig:
    """What is wrong is none of its lines."""
    return InvalidConfig([ConfigError(place, (), message)], MappingProxyType({}))


def fault(place: Location, error: Exception) -> InvalidConfig:
    """It is ours."""
    return whole_file(place, f"the compiler failed, please report it: {error!r}")
