"""What is kept from one configuration to the next, and what is forgotten."""

import pytest

from control_plane.reuse import Reused


def configured(kept: Reused[str, int], used: str, *, good: bool) -> list[str]:
    """A configuration that uses these things: which of them had to be made."""
    kept.begin()
    made = [name for name in used if kept.get(name) is None]
    for name in made:
        kept[name] = ord(name)
    if good:
        kept.succeeded()
    return made


@pytest.mark.parametrize(
    ("before", "used", "made"),
    [
        pytest.param([("ab", True)], "ab", [], id="the same"),
        pytest.param([("ab", True)], "bc", ["c"], id="something new"),
        pytest.param([("ab", True), ("cd", False), ("ef", False)], "ab", [], id="rejected ones forget no good one"),
        pytest.param([("ab", True), ("cd", False)], "cd", [], id="the last rejected one, put right elsewhere"),
        pytest.param([("ab", True), ("b", True)], "ab", ["a"], id="what the last good one did not use"),
        pytest.param([("a", True), ("b", False), ("c", False)], "b", ["b"], id="what was rejected earlier"),
    ],
)
def test_only_the_last_configurations_are_remembered(
    before: list[tuple[str, bool]], used: str, made: list[str]
) -> None:
    kept: Reused[str, int] = Reused()
    for earlier, good in before:
        configured(kept, earlier, good=good)

    assert configured(kept, used, good=True) == made


def test_a_thing_that_is_found_is_the_one_that_was_kept() -> None:
    kept: Reused[str, list[int]] = Reused()
    thing = [1]
    kept["a"] = thing

    kept.begin()

    assert kept.get("a") is thing
