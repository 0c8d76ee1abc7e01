"""What a line says, and that no line is too strange."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.metering import Passed, Prices, Tokens, charge
from tests.support.ledger import NOON, metered, of_model, row, unsettled
from usage_ledger.chain import canonical
from usage_ledger.entries import BadLine, Entry, entry_of_event, entry_of_row
from usage_ledger.tail import EVENTS, ROWS, entries

NUMBERS = ("bytes_in", "bytes_out", "status", "duration_ms", "cost", "price_in", "tokens_in", "tokens_out")


def entry(line) -> Entry:
    found = entry_of_row(json.dumps(line).encode())
    assert isinstance(found, Entry), found
    return found


def test_a_plain_call():
    found = entry(row(1))

    assert (found.kind, found.consumer, found.tenant, found.route) == ("call", "acme", None, "email")
    assert (found.started, found.id) == (1_699_963_200_000, f"{found.request_id}.{NOON}")
    assert (found.cost, found.amount, found.tokens_total, found.estimated) == (1, 0, 0, 0)


def test_a_metered_call_costs_what_the_counters_say():
    found = entry(metered(1))

    wanted = charge(Passed(100, 200, 300, 10, 20, 200, 1), Tokens(10, 4096))
    assert (found.tokens_in, found.tokens_out, found.estimated) == (wanted.tokens.input, wanted.tokens.output, 0)
    assert found.amount == Prices(100_000, 300_000).nano_dollars(wanted.tokens) == 70_000
    assert found.id == f"{found.request_id}.held"


@pytest.mark.parametrize(
    ("fields", "tokens", "estimated"),
    [
        pytest.param({}, (25, 50), 1, id="nothing reported: by bytes"),
        pytest.param({"tokens_passed": 31.0}, (25, 31), 1, id="nothing reported: by what was seen"),
        pytest.param({"tokens_passed": 31.0, "tokens_held": 7}, (25, 7), 1, id="nor more than was held of that"),
        pytest.param({"tokens_held": 7}, (25, 7), 1, id="never more than was held"),
        pytest.param({"status": 429}, (0, 0), 0, id="an error costs nothing"),
        pytest.param({"status": 0, "bytes_out": 0}, (25, 0), 1, id="a client that leaves before an answer"),
        pytest.param({"attempts": 0}, (0, 0), 0, id="no upstream was asked"),
        pytest.param({"attempts": "-"}, (0, 0), 0, id="no upstream is told of"),
        pytest.param({"tokens_total": 9}, (0, 9), 0, id="a total alone is the dearer"),
        pytest.param({"tokens_in": -3, "tokens_out": 5e9, "tokens_total": "55"}, (0, 55), 0, id="what Envoy drops"),
        pytest.param({"tokens_in": 1.5, "tokens_out": {}}, (1, 50), 1, id="a fraction is its whole part"),
        pytest.param({"tokens_in": 9}, (9, 50), 1, id="no length of the answer: by bytes"),
        pytest.param({"tokens_in": 9, "tokens_passed": 31.0}, (9, 31), 1, id="no length: by what was seen"),
        pytest.param({"tokens_in": 9, "tokens_held": 0}, (9, 0), 0, id="no length where none was held"),
        pytest.param({"route": "ollama-embed:m", "tokens_in": 9}, (9, 0), 0, id="an embedding has a prompt alone"),
        pytest.param({"route": "embeddings:m"}, (25, 0), 1, id="an embedding, nothing reported"),
        pytest.param({"tokens_in": 0.5, "tokens_out": -0.5}, (25, 50), 1, id="less than one is none"),
        pytest.param({"tokens_in": 1e9 + 0.5, "tokens_out": 1e9}, (0, 10**9), 0, id="the largest that Envoy passes on"),
        pytest.param({"tokens_in": "many", "tokens_out": {}}, (25, 50), 1, id="what is no number"),
    ],
)
def test_a_call_whose_tokens_are_not_told(fields, tokens, estimated):
    nothing = {"tokens_in": 0, "tokens_out": 0, "tokens_total": 0}
    found = entry(metered(1, **{**nothing, "bytes_in": 100, "bytes_out": 200, **fields}))

    assert (found.tokens_in, found.tokens_out) == tokens
    assert found.estimated == estimated


@pytest.mark.parametrize(
    ("details", "cost"),
    [
        ("via_upstream", 4),
        ("rbac_access_denied_matched_policy[body-not-rewritten]", 4),
        ("rbac_access_denied_matched_policy[tokens-not-countable]", 0),
        ("rbac_access_denied_matched_policy[tokens-not-countable-fraction]", 0),
    ],
)
def test_what_was_refused_before_the_limiter_was_asked_costs_nothing(details, cost):
    assert entry(metered(1, cost=4, status=400, details=details)).cost == cost


def test_a_call_of_a_model_costs_what_it_costs_where_it_was_answered():
    found = entry(of_model(1))

    assert (found.model, found.asked_model, found.upstream, found.upstream_model) == (
        "llama3.1", "small", "cloud", "meta/llama"
    )  # fmt: skip
    assert (found.price_in, found.price_out, found.amount) == (200_000, 600_000, 140_000)
    assert (found.first_token_ms, found.tokens_reasoning) == (250, 40)


@pytest.mark.parametrize("route", ["chat:", "show:"])
def test_a_call_that_no_model_took_is_of_none_whatever_the_client_calls_it(route):
    found = entry(metered(1, route=route, model="made up", asked_model="made up", status=404))

    assert (found.model, found.asked_model) == (None, "made up")


@pytest.mark.parametrize(
    ("fields", "upstream", "amount"),
    [
        pytest.param({"upstream": "llm:local:llama3.1"}, "local", 0, id="the-other"),
        pytest.param({"upstream": "gone", "price_in": 100_000}, "gone", 10_000, id="none-of-them"),
        pytest.param({"upstream": "-", "price_in": 100_000}, None, 10_000, id="not-told"),
        pytest.param(
            {"attempts": 0, "status": 429, "tokens_in": 0, "tokens_out": 0, "tokens_total": 0}, None, 0, id="refused"
        ),
        pytest.param({"targets": json.dumps(of_model(1)["targets"])}, "cloud", 140_000, id="as-text"),
        pytest.param({"targets": "-"}, "llm:cloud:llama3.1", 0, id="no-targets"),
    ],
)
def test_who_answered(fields, upstream, amount):
    found = entry(of_model(1, **fields))

    assert (found.upstream, found.amount) == (upstream, amount)


@pytest.mark.parametrize(
    "targets",
    ["{", "7", [], {"llm:cloud:llama3.1": 7}, {"llm:cloud:llama3.1": {"price_in": -1}}],
    ids=["no-json", "a-number", "a-list", "no-object", "a-price"],
)
def test_targets_that_are_none(targets):
    assert isinstance(entry_of_row(json.dumps(of_model(1, targets=targets)).encode()), BadLine)


@pytest.mark.parametrize(("told", "kept"), [(250, 250), ("-", None), (None, None), (-1, None), ("x", None)])
def test_the_first_token_is_told_or_not(told, kept):
    assert entry(of_model(1, first_token_ms=told)).first_token_ms == kept


def test_only_calls_of_models_have_a_first_token():
    assert entry(row(1, first_token_ms=5, upstream="mail")).first_token_ms is None
    assert entry(row(1, first_token_ms=5, upstream="mail")).upstream == "mail"
    assert entry(metered(1, first_token_ms=5)).first_token_ms == 5


def test_prices_are_read_as_envoy_writes_them():
    found = entry_of_row(json.dumps(metered(1)).replace('"100000"', "1e+05").replace('"300000"', "3e+05").encode())

    assert isinstance(found, Entry)
    assert (found.price_in, found.price_out) == (100_000, 300_000)


def test_what_might_hold_a_secret_is_not_taken():
    found = entry(row(1, path="/x?token=hunter2", authorization="Bearer hunter2", details="hunter2"))

    assert b"hunter2" not in canonical(found)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"time": "-"}, id="no time"),
        pytest.param({"time": "today"}, id="no moment"),
        pytest.param({"time": "2023-11-14T12:00:00"}, id="a moment of no zone"),
        pytest.param({"status": -1}, id="a negative number"),
        pytest.param({"bytes_in": 2**50}, id="a number that counters do not have"),
        pytest.param({"bytes_in": "9" * 5000}, id="a long number"),
        pytest.param({"cost": 1.5}, id="a fraction"),
        pytest.param({"cost": True}, id="a truth"),
        pytest.param({"tokens_in": 10**9, "price_in": 2**49}, id="an amount that no column holds"),
    ],
)
def test_what_is_no_row(fields):
    assert isinstance(entry_of_row(json.dumps(row(1, **fields)).encode()), BadLine)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(rb"b\377d", r"b\377d", id="an escape that JSON has not"),
        pytest.param(rb"b\\377d", r"b\377d", id="one that it has"),
        pytest.param(b"b\xffd", "b\ufffdd", id="a byte that is no text"),
        pytest.param(b"b\x01d", "b\x01d", id="a control sign"),
        pytest.param(rb"b\ud800d", "b?d", id="half of a pair"),
        pytest.param(rb"b\u0000d", "b\ufffdd", id="the end of a text in C"),
    ],
)
def test_who_calls_cannot_choose_to_have_no_row(written, read):
    line = json.dumps(row(1, subject="SUBJECT")).encode().replace(b"SUBJECT", written)

    found = entry_of_row(line)
    assert isinstance(found, Entry)
    assert found.subject == read


def test_long_names_are_cut_and_told_apart():
    one, other = (entry(row(1, consumer="x" * 600 + end)).consumer for end in "ab")

    assert one != other
    assert len(one) == len(other) == 512


def test_what_was_no_request_is_a_row_of_its_own():
    one, other = (entry(row(1, request_id=None, duration_ms=number)) for number in (1, 2))

    assert one.request_id == "-"
    assert one.key != other.key


def test_a_row_behind_one_that_was_never_finished():
    torn = json.dumps(row(1))[:50] + json.dumps(row(2))

    bad, behind = entries(ROWS, torn.encode())
    assert isinstance(bad, BadLine)
    assert behind == entry(row(2))


def test_a_path_that_looks_like_a_row_is_none():
    found = entries(ROWS, json.dumps(row(1, path='/{"time":"x"}', status="?")).encode())

    assert [type(item) for item in found] == [BadLine]


def test_a_hold_whose_end_was_never_told():
    found = entry_of_event(json.dumps(unsettled(1)).encode())

    assert isinstance(found, Entry)
    assert (found.kind, found.id, found.amount, found.tokens_out) == ("unsettled", entry(metered(1)).id, 5000, 4096)
    assert found.started == 1_699_963_260_500


def test_events_of_another_kind_are_skipped():
    assert entries(EVENTS, b'{"type":"other"}') == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from((*row(1), *metered(1))), inner),
    max_leaves=8,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_an_entry_or_bad(line):
    for source in (ROWS, EVENTS):
        assert all(isinstance(item, Entry | BadLine) for item in entries(source, line))


@given(st.dictionaries(st.sampled_from((*metered(1),)), JSON, max_size=4), st.sampled_from(NUMBERS), st.integers())
def test_whatever_is_an_entry_can_be_kept(strange, name, number):
    line = json.dumps({**metered(1), **strange, name: number}).encode()
    found = entry_of_row(line)

    if isinstance(found, Entry):
        assert all(type(value) is not int or 0 <= value < 2**63 for value in found)
        assert all(not isinstance(value, str) or "\0" not in value for value in found)
        assert canonical(found).isascii()
        str(found).encode()
