"""`tollgate usage` against the ledger's own gRPC edge: what is asked for, and what spreadsheets get."""

import asyncio
import csv
import io
import threading
from collections.abc import Iterator

import grpc
import pytest
import structlog
from typer.testing import CliRunner

from tests.support.ledger import Ledger, row
from tollgate_cli.main import app
from tollgate_cli.usage import said, verified
from usage_ledger.database import Database
from usage_ledger.reader import Reader
from usage_ledger.rpc import UsageAdmin
from usage_ledger.verify import Verified

MODELS = ("=1+1", "-2+3", "+1", "@a", "\t=1", "gpt-4o", None)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ledger with calls of models that clients have named, in 2023."""
    ledger = Ledger(tmp_path_factory.mktemp("usage"))
    ledger.write(*(row(number, model=model) for number, model in enumerate(MODELS)))
    ledger.read()
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    socket = f"unix:{ledger.folder / 'ledger.sock'}"

    async def serve() -> None:
        database = Database(ledger.url, changes=False)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((UsageAdmin(Reader(database), structlog.get_logger()),))
        server.add_insecure_port(socket)
        await server.start()
        started.set()
        await stop.wait()
        await server.stop(None)
        database.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield socket
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def usage(address: str, *arguments: str) -> str:
    found = CliRunner().invoke(app, ["usage", "--ledger", address, *arguments], env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    return found.output


def test_a_spreadsheet_takes_no_name_for_a_formula(address: str) -> None:
    rows = csv.DictReader(io.StringIO(usage(address, "--by", "model", "--from", "2023-01-01", "--csv")))

    assert {item["model"] for item in rows} == {"'=1+1", "'-2+3", "'+1", "'@a", "'\t=1", "gpt-4o", "-"}


def test_the_first_moment_of_all_is_one(address: str) -> None:
    """0 is no lack of one, which is this month."""
    assert f"{len(MODELS)}" in usage(address, "--by", "consumer", "--from", "1970-01-01").split()
    assert usage(address).strip() == "nothing was used"


def test_an_answer_has_one_shape() -> None:
    found = CliRunner().invoke(app, ["usage", "--json", "--csv"], env={"COLUMNS": "200"})

    assert found.exit_code == 2
    assert "keep one of them" in found.output


def test_verify_tells_until_when_rows_went() -> None:
    found = Verified((), 3, 9, (), removed_until=1_699_963_200_000)

    assert next(iter(said(found))) == "3 rows in 0 chains; 9 more went for their age, the last of 2023-11-14 12:00:00Z"
    assert verified(found)["removed_until"] == "2023-11-14 12:00:00Z"
    assert verified(Verified((), 3, 0, ()))["removed_until"] is None
