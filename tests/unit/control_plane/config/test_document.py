import pytest

from control_plane.config.document import DEEPEST, Document, read_document
from control_plane.config.errors import InvalidConfig, Location
from control_plane.config.marks import Marks

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


def read(text: str) -> Document:
    return read_document(text.encode(), "c.yaml")


def errors(content: bytes) -> list[str]:
    try:
        return [str(error) for error in read_document(content, "c.yaml").errors]
    except InvalidConfig as error:
        return [str(item) for item in error.errors]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "c.yaml:1:1: the file is empty; begin with `version: 1`", id="empty"),
        pytest.param("# later\n", "c.yaml:2:1: the file is empty; begin with `version: 1`", id="only a comment"),
        pytest.param(
            "a: 1\n---\nb: 2\n", "c.yaml:2:1: a second document begins here; keep one; drop the line `---`", id="two"
        ),
        pytest.param(
            "a: 1\nb: {a: 2}\na: 3\n",
            "c.yaml:3:1: the key 'a' stands twice, first at 1:1 (a); merge the two",
            id="duplicate key",
        ),
        pytest.param(
            "a: {b: 1, c: 2, b: 3}",
            "c.yaml:1:17: the key 'b' stands twice, first at 1:5 (a.b); merge the two",
            id="duplicate key in one line",
        ),
        pytest.param("404: 1", "c.yaml:1:1: YAML does not take the key `404` for text; write it in quotes", id="404"),
        pytest.param("? [a]\n: 1", "c.yaml:1:3: a key must be text; write `key: value`", id="list as a key"),
        pytest.param("a: &a x\n*a : 1", "c.yaml:2:1: a key must be text; write `key: value`", id="alias as a key"),
        pytest.param(
            "a: &a {b: 1}\nc:\n  <<: *a", "c.yaml:3:3: merge keys are not accepted (c); write the keys out", id="merge"
        ),
        pytest.param(
            "a: !!python/object/apply:os.system [ls]",
            "c.yaml:1:4: tags are not accepted (a); remove the tag",
            id="python tag",
        ),
        pytest.param("a: !secret b", "c.yaml:1:4: tags are not accepted (a); remove the tag", id="own tag"),
        pytest.param("a: !!int '5'", "c.yaml:1:4: tags are not accepted (a); remove the tag", id="tag of a number"),
        pytest.param(
            "a: *b", "c.yaml:1:4: there is no anchor &b before this alias (a); declare it", id="undefined alias"
        ),
        pytest.param(
            "a: &a [1, *a]", "c.yaml:1:11: the alias *a contains itself (a[1]); write the value out", id="recursive"
        ),
        pytest.param(
            BOMB, "c.yaml:5:36: aliases stand for more than 100000 values (e[7]); write them out", id="alias bomb"
        ),
        pytest.param(
            "? " * 500_000,
            f"c.yaml:1:{2 * (DEEPEST + 1) + 1}: the nesting is deeper than {DEEPEST} levels; "
            "no part of this language is",
            id="deep keys",
        ),
        pytest.param(
            "[" * 500_000,
            f"c.yaml:1:{DEEPEST + 2}: the nesting is deeper than {DEEPEST} levels; no part of this language is",
            id="deep",
        ),
        pytest.param(
            "a: [1, 2\nb: 3",
            "c.yaml:2:2: this is not YAML: did not find expected ',' or ']' while parsing a flow sequence that begins "
            'in line 1; close the bracket, put commas between entries, and write "${NAME}" in quotes',
            id="open bracket",
        ),
        pytest.param(
            "a:\n\tb: 1",
            "c.yaml:2:1: this is not YAML: found character that cannot start any token; "
            "indent with spaces, not tabs; put text that begins with @, ` or % in quotes",
            id="tab",
        ),
        pytest.param(
            "a: b: c",
            "c.yaml:1:5: this is not YAML: mapping values are not allowed in this context; "
            "check the indentation; put text that holds ': ' in quotes",
            id="two colons",
        ),
        pytest.param(
            "a: 'b",
            "c.yaml:1:6: this is not YAML: found unexpected end of stream while scanning a quoted scalar that begins "
            "in line 1; close the quote",
            id="open quote",
        ),
    ],
)
def test_what_this_language_does_not_take_of_yaml(text, expected):
    assert errors(text.encode()) == [expected]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"a: 1\nb: \xff", "c.yaml:2:4: byte 0xff is not UTF-8; save the file as UTF-8", id="Latin-1"),
        pytest.param(
            "a: 1".encode("utf-16"), "c.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8", id="UTF-16"
        ),
        pytest.param(b"a: 1\nb: x\0", "c.yaml:2:5: the character U+0000 cannot stand in YAML; remove it", id="NUL"),
        pytest.param(b"a: \x1b[0m", "c.yaml:1:4: the character U+001B cannot stand in YAML; remove it", id="escape"),
    ],
)
def test_bytes_that_are_no_text(content, expected):
    assert errors(content) == [expected]


def test_a_byte_order_mark_is_skipped():
    assert errors(b"\xef\xbb\xbfa: 1") == []


def test_mistakes_before_a_fatal_one_are_kept():
    assert [error.split(": ")[0] for error in errors(b"a: 1\na: 2\nb: [")] == ["c.yaml:2:1", "c.yaml:4:1"]


def test_truth_values_are_text_where_a_key_stands():
    """`on` is one of our keys."""
    root = read_document(b"on: 1\nno: 2", "c.yaml").root

    assert list(root.entries) == ["on", "no"]


def test_small_aliases_are_taken():
    document = read("a: &x {b: [1, 2]}\nc: *x\nd: [*x, *x]\n")

    assert document.errors == ()
    assert Marks(document.root).at(("d", 1, "b", 1)) == Location("c.yaml", 1, 15)


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        pytest.param((), "1:1", "1:1", id="root"),
        pytest.param(("routes",), "2:3", "1:1", id="list"),
        pytest.param(("routes", 0), "2:5", "2:5", id="item"),
        pytest.param(("routes", 0, "match"), "3:12", "3:5", id="flow mapping"),
        pytest.param(("routes", 0, "match", "path"), "3:19", "3:13", id="scalar"),
        pytest.param(("routes", 1), "4:5", "4:5", id="second item"),
        pytest.param(("routes", 0, "upstream"), "2:5", "2:5", id="missing key"),
        pytest.param(("routes", 0, "match", "hosts", 3, "x"), "3:5", "3:5", id="missing below a key"),
        pytest.param(("plans", "\u00fc", "limits"), "6:15", "6:7", id="columns count characters"),
    ],
)
def test_places(path, value, key):
    text = "routes:\n  - name: a\n    match: {path: /}\n  - name: b\nplans:\n  \u00fc: {limits: []}\n"
    marks = Marks(read(text).root)

    assert str(marks.at(path)) == f"c.yaml:{value}"
    assert str(marks.at(path, at_key=True)) == f"c.yaml:{key}"
