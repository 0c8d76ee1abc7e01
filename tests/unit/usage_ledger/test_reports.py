"""Sums of what was used, and who may read which."""

import httpx
import pytest
import structlog

from tests.support.clock import StillClock
from tests.support.ledger import Ledger, metered, of_model, row
from usage_ledger.database import Database
from usage_ledger.own_usage import CONSUMER_HEADER, OwnUsage, usage_app
from usage_ledger.reader import Reader
from usage_ledger.reports import BadQuestion, Question, report

HOUR = 3600
NOON = 1_699_963_200  # 2023-11-14T12:00:00Z
DAY = NOON - 12 * HOUR


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> Ledger:
    made = Ledger(tmp_path_factory.mktemp("ledger"), clock=StillClock(NOON + 3 * HOUR))
    made.write(
        row(0, status=429, limit="plan/free:minute", cost=3),
        row(1, consumer="other", status=503),
        row(2, time="2023-11-14T13:59:59.999Z", cost=3),
        row(3, time="2023-11-15T00:00:00.000Z", status=0),
        row(4, status=429),
        metered(5),
        metered(6, consumer="other", model="n"),
    )
    made.read()
    return made


def asked(ledger: Ledger, *by: str, **times) -> dict[tuple, int]:
    return {line.parts: line.sums["calls"] for line in ledger.run(lambda db: report(db, Question(by, **times)))}


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ((), {(): 7}),
        (("consumer",), {("acme",): 5, ("other",): 2}),
        (("model", "consumer"), {("-", "acme"): 4, ("-", "other"): 1, ("m", "acme"): 1, ("n", "other"): 1}),
        (("day",), {(DAY,): 6, (DAY + 24 * HOUR,): 1}),
        (("hour",), {(NOON,): 5, (NOON + HOUR,): 1, (DAY + 24 * HOUR,): 1}),
        (("usage",), {("-",): 5, ("chat",): 2}),
    ],
)
def test_what_is_told_apart(ledger, by, wanted):
    assert asked(ledger, *by) == wanted


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [(DAY, DAY + 24 * HOUR, 6), (DAY + 24 * HOUR, None, 1), (NOON + HOUR, NOON + 2 * HOUR, 1), (0, NOON, 0)],
)
def test_a_time(ledger, begin, end, wanted):
    assert sum(asked(ledger, begin=begin, end=end).values()) == wanted


def test_what_counts_for_what(ledger):
    sums = ledger.sums("consumer")

    acme, other = sums["acme",], sums["other",]
    assert (acme["refused"], acme["failed"], acme["units"]) == (1, 1, 6)
    assert (other["refused"], other["failed"], other["units"], other["amount"]) == (0, 1, 2, 70_000)
    assert ledger.sums(consumer="acme", model="m")[()]["tokens_out"] == 200


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(("colour",)), "no part"),
        (Question(only={"subject": "alice"}), "no part"),
        (Question(only={"day": "2023-11-14"}), "begins and ends with it"),
        (Question(("day", "day")), "twice"),
        (Question(begin=NOON + 1), "whole hours"),
    ],
)
def test_a_question_that_is_none(ledger, question, said):
    with pytest.raises(BadQuestion, match=said):
        ledger.run(lambda db: report(db, question))


async def own(ledger: Ledger, path: str = "/v1/usage", consumer: str | None = "acme", method="GET") -> httpx.Response:
    database = Database(ledger.url, changes=False)
    app = usage_app(OwnUsage(Reader(database), ledger.clock, structlog.get_logger()))
    headers = {} if consumer is None else {CONSUMER_HEADER: consumer}
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.request(method, path, headers={"x-request-id": "r", **headers})
    finally:
        database.close()


async def test_a_consumer_reads_its_own_usage_of_this_month(ledger):
    answer = await own(ledger, "/v1/usage?by=model")

    body = answer.json()
    assert (body["consumer"], body["from"], body["to"]) == ("acme", "2023-11-01T00:00:00Z", "2023-11-15T00:00:00Z")
    assert [(line["model"], line["calls"], line["usd"]) for line in body["usage"]] == [
        ("-", 3, "0.000000000"),
        ("m", 1, "0.000070000"),
    ]
    assert answer.headers["cache-control"] == "no-store"


async def test_of_the_days_that_it_names(ledger):
    body = (await own(ledger, "/v1/usage?from=2023-11-14&to=2023-11-16&by=day")).json()

    assert [(line["day"], line["calls"]) for line in body["usage"]] == [
        ("2023-11-14T00:00:00Z", 4),
        ("2023-11-15T00:00:00Z", 1),
    ]


@pytest.mark.parametrize(
    ("path", "consumer", "status", "code"),
    [
        ("/v1/usage", None, 403, "no_consumer"),
        ("/v1/usage", "-", 403, "no_consumer"),
        ("/v1/usage?by=consumer", "acme", 400, "invalid_request"),
        ("/v1/usage?consumer=other", "acme", 400, "invalid_request"),
        ("/v1/usage?from=yesterday", "acme", 400, "invalid_request"),
        ("/v1/usage?from=2023-11-14&to=2023-11-14", "acme", 400, "invalid_request"),
        ("/v1/usage?from=1970-01-01", "acme", 400, "invalid_request"),
    ],
)
async def test_what_is_not_told(ledger, path, consumer, status, code):
    answer = await own(ledger, path, consumer)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["request_id"] == "r"


async def test_nothing_is_changed_there(ledger):
    answer = await own(ledger, method="DELETE")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_somebody_without_usage(ledger):
    assert (await own(ledger, consumer="newcomer")).json()["usage"] == []


async def test_while_the_database_is_away(tmp_path):
    answer = await own(Ledger(tmp_path))

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


def test_who_answered_and_what_was_thought(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.write(of_model(1), of_model(2, upstream="llm:local:llama3.1"), row(3, upstream="mail"))
    ledger.read()

    found = ledger.sums("upstream", "model")
    told = {parts: (sums["calls"], sums["amount"], sums["tokens_reasoning"]) for parts, sums in found.items()}
    assert {parts: told[parts] for parts in told if parts[0] != "-"} == {
        ("cloud", "llama3.1"): (1, 140_000, 40), ("local", "llama3.1"): (1, 0, 40), ("mail", "-"): (1, 0, 0)
    }  # fmt: skip
