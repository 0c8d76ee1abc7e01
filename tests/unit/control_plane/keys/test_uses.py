"""When keys were last used: gathered, written now and then, kept while nothing can be written."""

from collections.abc import Mapping

from control_plane.keys.errors import StoreUnavailable
from control_plane.keys.uses import AT_ONCE, MOST_REMEMBERED, Uses


class Database:
    """Where uses are written; it may be away."""

    def __init__(self) -> None:
        self.written: list[Mapping[str, float]] = []
        self.is_away = False

    async def write(self, times: Mapping[str, float]) -> None:
        if self.is_away:
            raise StoreUnavailable("it is away", "wait")
        self.written.append(times)


async def test_the_latest_use_of_each_key_is_written_once() -> None:
    database = Database()
    uses = Uses(database.write)
    uses.note({"a": 5.0, "b": 1.0})
    uses.note({"a": 3.0, "b": 2.0})
    await uses.write_down()
    await uses.write_down()

    assert database.written == [{"a": 5.0, "b": 2.0}]


async def test_what_cannot_be_written_is_kept() -> None:
    database = Database()
    uses = Uses(database.write)
    uses.note({"a": 5.0})
    database.is_away = True
    await uses.write_down()
    uses.note({"a": 4.0, "b": 1.0})
    database.is_away = False
    await uses.write_down()

    assert database.written == [{"a": 5.0, "b": 1.0}]


async def test_many_are_written_in_parts_and_too_many_are_not_remembered() -> None:
    database = Database()
    uses = Uses(database.write)
    uses.note({str(number): 1.0 for number in range(MOST_REMEMBERED + 10)})
    await uses.write_down()

    assert [len(part) for part in database.written] == [AT_ONCE] * (MOST_REMEMBERED // AT_ONCE)
