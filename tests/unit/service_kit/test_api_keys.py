import hashlib
import hmac
import itertools
import os
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.api_keys import PATTERN, Key, key_hash, key_id, new_key, read_hash, written_hash

# Written by hand: what holders have must be known by every later version.
KEY = "tgk_5vg68MA6yzYr_bUs3duuGDTcrM5Nr6vF1bisCXA93rpoKSrBDcuv5n3O37vvkq"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def made():
    return new_key(os.urandom).text


def test_a_key_that_somebody_has_is_known():
    assert key_id(KEY.encode()) == "5vg68MA6yzYr"


def test_a_new_key_has_the_published_form_and_its_own_id():
    for _ in range(100):
        key = new_key(os.urandom)
        assert re.fullmatch(PATTERN, key.text)
        assert key_id(key.text.encode()) == key.id
        assert len(key.text) == 66


def test_the_check_is_the_crc_of_what_stands_before_it():
    text = made()
    number = zlib.crc32(text[:-6].encode())

    assert text[-6:] == "".join(DIGITS[number // 62**place % 62] for place in range(5, -1, -1))


@given(st.integers(0, 65), st.characters(codec="ascii"))
def test_one_wrong_character_is_noticed(place, character):
    text = KEY[:place] + character + KEY[place + 1 :]

    assert (key_id(text.encode()) is None) is (text != KEY)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(KEY.encode() + b"\n", id="line-end"),
        pytest.param(b" " + KEY.encode(), id="space"),
        pytest.param(KEY.encode()[:-1], id="short"),
        pytest.param(KEY.encode() + b"0", id="long"),
        pytest.param(KEY.upper().encode(), id="capitals"),
        pytest.param(b"tgk_" + b"\xff" * 62, id="bytes"),
        pytest.param("tgk_\N{FULLWIDTH DIGIT ONE}".encode().ljust(66, b"0"), id="other-digits"),
        pytest.param(b"a.b.c", id="jwt"),
        pytest.param(b"tgk_" + b"0" * 100_000, id="large"),
    ],
)
def test_what_is_no_key_has_no_id(text):
    assert key_id(text) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_a_fault(text):
    assert key_id(text) is None or re.fullmatch(PATTERN.encode(), text)


def test_bytes_that_would_favour_some_digits_are_drawn_again():
    drawn = itertools.cycle([*range(248, 256), *range(248)])

    text = new_key(lambda length: bytes(itertools.islice(drawn, length))).text

    assert text[4:16] == "0123456789AB"


def test_the_hash_is_keyed_and_of_the_whole_text():
    assert key_hash(b"pepper", KEY.encode()) == hmac.new(b"pepper", KEY.encode(), hashlib.sha256).digest()
    assert key_hash(b"pepper", KEY.encode()) != key_hash(b"pepper2", KEY.encode())


def test_a_hash_is_written_and_read():
    digest = key_hash(b"pepper", KEY.encode())

    assert read_hash(written_hash(digest)) == digest
    assert read_hash(written_hash(digest).upper().replace("HMAC-SHA", "hmac-sha")) == digest


@pytest.mark.parametrize("written", ["", "hmac-sha256:", "sha256:" + "0" * 64, "hmac-sha256:" + "0" * 63, KEY])
def test_what_is_no_hash_is_not_read(written):
    assert read_hash(written) is None


def test_a_key_does_not_show_itself():
    assert KEY not in repr(Key("5vg68MA6yzYr", KEY))
