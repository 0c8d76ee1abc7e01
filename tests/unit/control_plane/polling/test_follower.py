import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.polling.follower import Follower, Polling
from control_plane.polling.kept import KeptAnswers
from service_kit.log import configure_logs
from tests.support.clock import StillClock


@dataclass(frozen=True)
class Place:
    name: str = "x"
    refresh: float = 300.0


async def said(_place: Place, _last: str | None) -> str:
    return "said"


@pytest.mark.parametrize(
    ("failures", "random", "pause"),
    [
        pytest.param(0, 0.5, 300.0, id="usual"),
        pytest.param(0, 0.0, 270.0, id="a-tenth-less"),
        pytest.param(0, 1.0, 330.0, id="a-tenth-more"),
        pytest.param(1, 0.5, 1.0, id="after-a-failure"),
        pytest.param(5, 0.5, 16.0, id="after-five"),
        pytest.param(10_000, 0.5, 300.0, id="never-longer-than-usual"),
    ],
)
def test_how_long_it_is_until_the_next_fetch(tmp_path: Path, failures: int, random: float, pause: float):
    log = configure_logs("x", stream=io.StringIO())
    polling = Polling[Place, str](
        what="text", fetch=said, kept=KeptAnswers(tmp_path, written=str, read=str, largest=100),
        bound=lambda _: log, changed=lambda: None, clock=StillClock(), random=lambda: random,
    )  # fmt: skip
    follower = Follower(Place(), polling)
    follower.failures = failures

    assert follower.pause() == pytest.approx(pause)
