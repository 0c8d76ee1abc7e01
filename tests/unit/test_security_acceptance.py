"""The list of attacks: every number once and in order, every line with tests that there are, and its page true."""

from tests.security.acceptance import CHAPTERS
from tests.security.page import PAGE, missing, page

ITEMS = [item for chapter in CHAPTERS for item in chapter.items]


def test_every_number_stands_once_and_in_order() -> None:
    assert [int(item.name) for item in ITEMS if item.name.isdecimal()] == list(range(1, 40))
    assert len({item.name for item in ITEMS}) == len(ITEMS)


def test_every_line_has_tests_or_a_reason() -> None:
    assert [item.name for item in ITEMS if bool(item.tests) == bool(item.none)] == []


def test_the_tests_are_there() -> None:
    assert list(missing()) == []


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.security`"
