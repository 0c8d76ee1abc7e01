"""Who a process says it is to its store."""

import pytest

from ratelimit_service.addresses import StoreAddressError
from ratelimit_service.connections import Login, LoginProvider, StoreOptions
from ratelimit_service.store import redis_store


@pytest.mark.parametrize(
    ("address", "login", "words"),
    [
        ("redis://:hunter2@store", Login(password="hunter3"), "password is given twice"),
        ("redis+cluster://limits@store", Login(username="other"), "user is given twice"),
        ("redis+sentinel://:hunter2@store/counters", Login(password="hunter3"), "password is given twice"),
    ],
)
def test_a_login_from_two_places_is_refused(address, login, words):
    with pytest.raises(StoreAddressError, match=words) as refusal:
        redis_store(address, StoreOptions(login=login))

    assert "hunter" not in str(refusal.value)


def test_a_password_file_is_read_each_time_without_its_line_end(tmp_path):
    file = tmp_path / "password"
    provider = LoginProvider(Login("limits", password_file=file))
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        assert provider.get_credentials() == ("limits", password)


def test_a_password_without_a_user_is_that_of_the_default_user():
    assert LoginProvider(Login(password="hunter2")).get_credentials() == ("hunter2",)


def test_a_login_shows_no_password():
    assert "hunter2" not in repr(StoreOptions(login=Login("limits", "hunter2")))
