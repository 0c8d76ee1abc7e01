"""Everyone at fault is found, with questions that grow with their number and hardly with that of the suspects."""

from collections.abc import Sequence

import pytest

from control_plane.gate.bisect import culprits

SUSPECTS = tuple(range(1000))


class Judge:
    """Refuses whatever holds one of the bad, or all of the `together`."""

    def __init__(self, bad: frozenset[int], together: frozenset[int] = frozenset()) -> None:
        self._bad = bad
        self._together = together
        self.questions = 0

    async def ask(self, some: Sequence[int]) -> str | None:
        self.questions += 1
        if found := self._bad.intersection(some):
            return f"refused for {min(found)}"
        return "refused together" if self._together and self._together <= set(some) else None


@pytest.mark.parametrize(
    ("bad", "most"),
    [
        pytest.param(frozenset(), 1, id="nobody"),
        pytest.param(frozenset({617}), 21, id="one"),
        pytest.param(frozenset({0, 999}), 41, id="the first and the last"),
        pytest.param(frozenset({5, 6, 500}), 61, id="three"),
    ],
)
async def test_all_are_found_each_with_its_own_reason(bad: frozenset[int], most: int) -> None:
    judge = Judge(bad)

    assert await culprits(SUSPECTS, judge.ask) == {number: f"refused for {number}" for number in bad}
    assert judge.questions <= most


async def test_of_what_is_bad_together_only_all_in_doubt_are_told() -> None:
    found = await culprits(SUSPECTS, Judge(frozenset(), frozenset({1, 999})).ask)

    assert found.keys() == set(SUSPECTS)


async def test_when_the_questions_run_out_nobody_in_doubt_is_left_out() -> None:
    bad = frozenset(range(0, 1000, 10))
    judge = Judge(bad)

    found = await culprits(SUSPECTS, judge.ask, most=16)

    assert bad <= found.keys()
    assert judge.questions <= 17


async def test_without_suspects_nobody_is_asked() -> None:
    judge = Judge(frozenset({1}))

    assert (await culprits((), judge.ask), judge.questions) == ({}, 0)
