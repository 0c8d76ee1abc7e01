"""Addresses of stores: every form, and refusals with a reason and without their password."""

import re

import pytest

from ratelimit_service.addresses import HostPort, Kind, StoreAddress, StoreAddressError, parse_store_address

LOCAL = (HostPort("localhost", 6379),)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/store.sock", StoreAddress(Kind.SINGLE, path="/run/store.sock")),
        ("redis://localhost", StoreAddress(Kind.SINGLE, LOCAL)),
        ("redis://localhost:6380/2", StoreAddress(Kind.SINGLE, (HostPort("localhost", 6380),), database=2)),
        ("rediss://[::1]:6380", StoreAddress(Kind.SINGLE, (HostPort("::1", 6380),), tls=True)),
        ("redis://:p%40ss%2F@localhost/", StoreAddress(Kind.SINGLE, LOCAL, password="p@ss/")),
        ("redis://limits:pw@localhost", StoreAddress(Kind.SINGLE, LOCAL, username="limits", password="pw")),
        (
            "redis+sentinel://:pw@a,b:26380/counters/1",
            StoreAddress(
                Kind.SENTINEL,
                (HostPort("a", 26379), HostPort("b", 26380)),
                service="counters",
                database=1,
                password="pw",
            ),
        ),
        (
            "rediss+cluster://[2001:db8::1]:7000,[2001:db8::2]",
            StoreAddress(Kind.CLUSTER, (HostPort("2001:db8::1", 7000), HostPort("2001:db8::2", 6379)), tls=True),
        ),
    ],
)
def test_accepted(text, address):
    assert parse_store_address(text) == address


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        pytest.param("localhost:6379", "must be unix:/path, redis://HOST:PORT", id="no-scheme"),
        pytest.param("", "must be unix:/path", id="empty"),
        pytest.param("unix:relative.sock", "absolute path", id="relative-path"),
        pytest.param("http://:hunter2@store", "must be", id="another-scheme"),
        pytest.param("redis+ring://:hunter2@store", "must be", id="another-kind"),
        pytest.param("redis://", "check host and port", id="no-host"),
        pytest.param("redis://:hunter2@store:none", "check host and port", id="no-port"),
        pytest.param("redis://:hunter2@store:99999", "check host and port", id="no-such-port"),
        pytest.param("redis://:hunter2/7@store", "percent-encode", id="password-not-encoded"),
        pytest.param("redis://user:hunter2?@store", "no options", id="password-with-a-question-mark"),
        pytest.param("redis://:hunter2@store?socket_timeout=1", "settings of their own", id="options"),
        pytest.param("redis://:hunter2@a,b", "several servers: write redis+sentinel://", id="several"),
        pytest.param("redis://:hunter2@store/first", "number of a database", id="no-database"),
        pytest.param("redis+sentinel://:hunter2@store", "names no master", id="no-master"),
        pytest.param("redis+cluster://:hunter2@store/1", "only database 0", id="database-of-a-cluster"),
    ],
)
def test_refused(text, cure):
    with pytest.raises(StoreAddressError, match=re.escape(cure)) as refusal:
        parse_store_address(text)

    assert "the store's address" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in repr(refusal.value.__cause__)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("unix:/s", "unix:/s"),
        ("redis://u:hunter2@[::1]", "[::1]:6379"),
        ("redis+sentinel://:hunter2@a/counters", "counters"),
    ],
)
def test_its_name_in_logs_and_metrics_has_no_password(text, name):
    address = parse_store_address(text)

    assert str(address) == name
    assert "hunter2" not in repr(address)
