"""What the loader accepts, and what it says of everything else: file, line, column, what is wrong, the cure."""

import pytest

from ratelimit_service.swap_in.loader import SourceFile, load_rules
from ratelimit_service.swap_in.mistakes import MOST_MISTAKES, InvalidRules
from ratelimit_service.swap_in.rules import Limit, Rule, Unit
from tests.support.swap_in import rules_of

ZERO = "write `requests_per_unit: NUMBER`, where 0 refuses everything"
UNLIMITED = "or `unlimited: true`"
UNITS = f"write one of second, minute, hour, day, week, month, year; {UNLIMITED}"
NUMBER = "requests_per_unit is no whole number from 0 to 4294967295; write digits, without quotes"
NOT_YAML = "this is not YAML that can be used:"
SYNTAX = "check indentation, quotes and brackets here and on the line before"
SHARED = "only its matches can share a count; write a `*` into the value, or drop share_threshold"
NO_MAPPING = "is no mapping; write `key: value` lines"


def limited(rest, *, unit="day"):
    """A file whose only limit stands in line 3, the rest of it from column 36; the number comes last."""
    return f"domain: shop\ndescriptors:\n- {{key: a, rate_limit: {{unit: {unit}, {rest}, requests_per_unit: 1}}}}"


def counted(number):
    """A file whose only number stands in line 3, column 55."""
    return f"domain: shop\ndescriptors:\n- {{key: a, rate_limit: {{unit: day, requests_per_unit: {number}}}}}"


def described(rest):
    """A file whose only descriptor stands in line 3, the rest of it from column 12."""
    return f"domain: shop\ndescriptors:\n- {{key: a, {rest}}}"


MISTAKES = [
    ("not YAML", "'''", f"a.yaml:1:4: {NOT_YAML} found unexpected end of stream; {SYNTAX}"),
    ("two documents", "domain: a\n---\ndomain: b",
     f"a.yaml:2:1: {NOT_YAML} a second document begins here; one file is one document: move it to a file of its own"),
    ("empty file", "", "a.yaml:1:1: the file is empty; begin with `domain: NAME`"),
    ("a list", "- a", f"a.yaml:1:1: the file {NO_MAPPING}"),
    ("no domain", "descriptors:", "a.yaml:1:1: the domain is empty; write `domain: NAME`"),
    ("empty domain", "domain: ''", "a.yaml:1:9: the domain is empty; write `domain: NAME`"),
    ("key that is no text", "domain: a\n0.25: b", "a.yaml:2:1: the key `0.25` is no text; drop it"),
    ("list as key", "domain: a\n? [b]\n: c", "a.yaml:2:3: the key `?` is no text; drop it"),
    ("misspelled key", described("ratelimit: {}"),
     "a.yaml:3:12: there is no key `ratelimit`; did you mean `rate_limit`?"),
    ("misspelled key of a limit", described("rate_limit: {unit: day, requestsperunit: 1}"),
     "a.yaml:3:36: there is no key `requestsperunit`; did you mean `requests_per_unit`?"),
    ("unknown key", "domain: a\nzzz: 1", "a.yaml:2:1: there is no key `zzz`; write one of descriptors, domain"),
    ("key of a descriptor in a limit", limited("shadow_mode: true"),
     "a.yaml:3:36: `shadow_mode` does nothing here; move it to the descriptor, beside `key`"),
    ("key of a limit in a descriptor", described("unit: day"),
     "a.yaml:3:12: `unit` does nothing here; move it below `rate_limit`"),
    ("domain in a descriptor", described("domain: day"),
     "a.yaml:3:12: `domain` does nothing here; move it to the left edge of the file"),
    ("the same key twice", "domain: a\ndomain: b", "a.yaml:2:1: `domain` stands twice, first at 1:1; keep one of them"),
    ("descriptors that are no list", "domain: a\ndescriptors: b",
     "a.yaml:2:14: descriptors is no list; begin each entry with `- `"),
    ("descriptors that are texts", "domain: a\ndescriptors:\n- b",
     f"a.yaml:3:3: an entry of descriptors {NO_MAPPING}"),
    ("empty descriptor", "domain: a\ndescriptors:\n-", f"a.yaml:3:2: an entry of descriptors {NO_MAPPING}"),
    ("no key", "domain: a\ndescriptors:\n- value: b", "a.yaml:3:3: the descriptor has no key; write `key: NAME`"),
    ("empty key", "domain: a\ndescriptors:\n- key:", "a.yaml:3:7: the descriptor has no key; write `key: NAME`"),
    ("wildcard in a key", "domain: a\ndescriptors:\n- key: b*",
     "a.yaml:3:8: the key 'b*' has a wildcard; write it into the value: keys are compared as they are"),
    ("value that is a fraction", described("value: 1.5"),
     "a.yaml:3:19: YAML takes the value `1.5` for a fraction; write it in quotes"),
    ("value that is a list", described("value: [b]"),
     "a.yaml:3:19: value is no text; write one word or a text in quotes"),
    ("descriptor twice", "domain: a\ndescriptors:\n- key: b\n  value: c\n- key: b\n  value: c",
     "a.yaml:5:3: the descriptor `b: c` stands twice, first at a.yaml:3:3; merge the two"),
    ("descriptor with a key alone twice", "domain: a\ndescriptors:\n- key: b\n- {key: b, value: ''}",
     "a.yaml:4:3: the descriptor `b` stands twice, first at a.yaml:3:3; merge the two"),
    ("limit that is a text", described("rate_limit: fast"), f"a.yaml:3:24: rate_limit {NO_MAPPING}"),
    ("bad unit", limited("name: b", unit="fortnight"), f"a.yaml:3:31: 'fortnight' is no unit; {UNITS}"),
    ("unit unknown", limited("name: b", unit="unknown"), f"a.yaml:3:31: 'unknown' is no unit; {UNITS}"),
    ("no unit", described("rate_limit: {requests_per_unit: 1}"), f"a.yaml:3:24: the limit has no unit; {UNITS}"),
    ("no number", described("rate_limit: {unit: day}"),
     f"a.yaml:3:24: the limit has no number; {ZERO}; {UNLIMITED}"),
    ("unlimited with a unit", described("rate_limit: {unlimited: true, unit: day}"),
     "a.yaml:3:42: an unlimited rule has no `unit`; drop `unit`, or drop `unlimited`"),
    ("unlimited with a number", described("rate_limit: {unlimited: true, requests_per_unit: 1}"),
     "a.yaml:3:42: an unlimited rule has no `requests_per_unit`; drop `requests_per_unit`, or drop `unlimited`"),
    ("shadow mode of no limit", described("shadow_mode: true, descriptors: []"),
     "a.yaml:3:12: `shadow_mode` does nothing without `rate_limit`; move it to where the limit is"),
    ("metadata of no limit", described("shadow_mode: false, metadata: {b: c}"),
     "a.yaml:3:32: `metadata` does nothing without `rate_limit`; move it to where the limit is"),
    ("negative number", counted("-1"), f"a.yaml:3:55: {NUMBER}"),
    ("number above 32 bits", counted("4294967296"), f"a.yaml:3:55: {NUMBER}"),
    ("number without digits", counted("0x_"), f"a.yaml:3:55: {NUMBER}"),
    ("octal that is none", counted("08"), f"a.yaml:3:55: {NUMBER}"),
    ("number that is a list", counted("[1]"), f"a.yaml:3:55: {NUMBER}"),
    ("number in quotes", counted("'1'"), f"a.yaml:3:55: {NUMBER}"),
    ("fraction", counted("1.0"), f"a.yaml:3:55: {NUMBER}"),
    ("flag that is a word", described("shadow_mode: maybe, rate_limit: {unlimited: true}"),
     "a.yaml:3:25: shadow_mode is neither true nor false; write `true` or `false`, without quotes"),
    ("flag in quotes", described("quota_mode: 'true', rate_limit: {unlimited: true}"),
     "a.yaml:3:24: quota_mode is neither true nor false; write `true` or `false`, without quotes"),
    ("replaces nothing", limited("replaces: [{name: }]"),
     "a.yaml:3:54: an entry of `replaces` has no name; write `- name: NAME`, or drop it"),
    ("replaces itself", limited("name: b, replaces: [{name: b}]"),
     "a.yaml:3:63: the limit 'b' replaces itself; name another limit"),
    ("replaces a text", limited("replaces: [b]"), f"a.yaml:3:47: an entry of replaces {NO_MAPPING}"),
    ("shared without a wildcard", described("value: b, share_threshold: true"),
     f"a.yaml:3:22: share_threshold needs a value with a wildcard: {SHARED}"),
    ("metadata that is a text", described("metadata: b, rate_limit: {unlimited: true}"),
     f"a.yaml:3:22: metadata {NO_MAPPING}"),
    ("alias that contains itself", "domain: a\ndescriptors: &b\n- {key: c, descriptors: *b}",
     "a.yaml:3:4: this is deeper than 64 levels, or larger than any rules; check the aliases"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "mistake"), [pytest.param(*row[1:], id=row[0]) for row in MISTAKES])
def test_mistakes(text, mistake):
    with pytest.raises(InvalidRules) as refusal:
        rules_of(text)

    assert str(refusal.value) == mistake


def test_mistakes_of_all_files_are_reported_in_their_order():
    with pytest.raises(InvalidRules) as refusal:
        rules_of("domain: a\ndescriptors: [{key: b*}, {value: c}]", "domain:", "- a")

    assert [str(mistake).partition(": ")[0] for mistake in refusal.value.mistakes] == [
        "a.yaml:2:21", "a.yaml:2:26", "b.yaml:1:8", "c.yaml:1:1",
    ]  # fmt: skip


def test_no_more_mistakes_than_anybody_reads():
    with pytest.raises(InvalidRules) as refusal:
        rules_of("domain: a\ndescriptors:\n" + "- {value: b}\n" * (MOST_MISTAKES + 1))

    assert len(refusal.value.mistakes) == MOST_MISTAKES


def test_bytes_that_are_no_text():
    with pytest.raises(InvalidRules, match=r"a\.yaml: byte 8 is not UTF-8; save it as UTF-8"):
        load_rules([SourceFile("a.yaml", b"domain: \xff")], merge_domains=False)


def test_a_domain_is_in_one_file():
    with pytest.raises(InvalidRules) as refusal:
        rules_of("domain: a", "\ndomain: a")

    assert str(refusal.value) == (
        "b.yaml:2:9: the domain 'a' is in another file too, at a.yaml:1:9; "
        "put its descriptors into one file, or set MERGE_DOMAIN_CONFIG=true"
    )


def test_files_of_a_domain_can_be_merged():
    files = ("{domain: a, descriptors: [{key: b}]}", "{domain: a, descriptors: [{key: c}]}", "domain: d")

    found = rules_of(*files, merge=True)
    with pytest.raises(InvalidRules, match=r"b\.yaml:1:27: the descriptor `b` stands twice, first at a\.yaml:1:27"):
        rules_of(files[0], files[0], merge=True)

    assert {domain: [*level.of_key] for domain, level in found.domains.items()} == {"a": ["b", "c"], "d": []}


def rule_of(rest):
    return rules_of(f"{{domain: shop, descriptors: [{{key: a, {rest} }}]}}").domains["shop"].of_key["a"].rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("value:", None, id="nothing"),
        pytest.param("rate_limit:", None, id="empty limit"),
        pytest.param("rate_limit: {unlimited: true}", Rule(None), id="unlimited"),
        pytest.param("rate_limit: {unit: Day, requests_per_unit: }", Rule(Limit(0, Unit.DAY)), id="empty number"),
        pytest.param("rate_limit: {unit: day, requests_per_unit: 1_000}", Rule(Limit(1000, Unit.DAY)), id="1_000"),
        pytest.param("rate_limit: {unit: day, requests_per_unit: 0x10}", Rule(Limit(16, Unit.DAY)), id="hexadecimal"),
        pytest.param("rate_limit: {unit: day, requests_per_unit: 010}", Rule(Limit(8, Unit.DAY)), id="octal"),
        pytest.param("shadow_mode: yes, rate_limit: {unlimited: on}", Rule(None, shadow=True), id="yes"),
        pytest.param("quota_mode: y, rate_limit: {unit: day, requests_per_unit: 0, name: 7, "
                     "replaces: [{name: b}, {name: c}]}",
                     Rule(Limit(0, Unit.DAY, "7"), frozenset("bc"), quota=True), id="replaces"),
        pytest.param("metadata: {b: {c: [1, x, null, 2001-01-01, 0x_]}}, rate_limit: {unlimited: true}",
                     Rule(None, metadata={"b": {"c": [1, "x", None, "2001-01-01", "0x_"]}}), id="metadata"),
    ],
)  # fmt: skip
def test_rules(text, rule):
    assert rule_of(text) == rule


def test_anchors_and_merge_keys():
    found = rules_of("""
        domain: shop
        descriptors:
          - key: a
            rate_limit: &limit {unit: day, requests_per_unit: 1}
          - key: b
            rate_limit: {<<: *limit, unit: hour}
          - key: 404
            rate_limit: *limit
    """)

    rules = {key: entry.rule for key, entry in found.domains["shop"].of_key.items()}
    assert rules == {"a": Rule(Limit(1, Unit.DAY)), "b": Rule(Limit(1, Unit.HOUR)), "404": Rule(Limit(1, Unit.DAY))}
