"""What a row says, and that nothing of it can be left out."""

import pytest

from tests.support.ledger import of_model, row
from tests.unit.usage_ledger.test_entries import entry
from usage_ledger.chain import FIELDS, said


def test_a_row_without_what_came_later_says_what_it_said_before():
    assert FIELDS[len(said(entry(row(1)))) - 1] == "settles"


def test_a_row_says_all_that_it_has():
    assert said(entry(of_model(1))) == entry(of_model(1))


@pytest.mark.parametrize("name", FIELDS[FIELDS.index("settles") + 1 :])
def test_what_came_later_cannot_be_taken_away(name):
    whole = entry(of_model(1))

    assert said(whole._replace(**{name: None})) != said(whole)
