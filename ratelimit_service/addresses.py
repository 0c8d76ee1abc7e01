"""Where a store is, from the text of an operator: one server, the master that Sentinels name, or a cluster.

Errors: StoreAddressError - names what is wrong and the cure, and quotes neither the address nor its password.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import unquote, urlsplit

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
FORMS: Final = (
    "unix:/path, redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or redis+cluster://HOST:PORT,HOST:PORT;"
    " rediss for TLS"
)


class StoreAddressError(ValueError):
    """An address of a store that cannot be used; the message names the cure."""


class Kind(Enum):
    """What answers at the address."""

    SINGLE = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


@dataclass(frozen=True)
class HostPort:
    """A TCP address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class StoreAddress:
    """A store as its operator named it."""

    kind: Kind
    hosts: tuple[HostPort, ...] = ()
    # Of a Unix socket, which has no hosts.
    path: str = ""
    tls: bool = False
    database: int = 0
    # The name under which Sentinels know the master.
    service: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """What logs and metrics call it."""
        if self.path:
            return f"unix:{self.path}"
        return self.service or ",".join(map(str, self.hosts))


def parse_store_address(text: str) -> StoreAddress:
    """The store that the text names."""
    if text.startswith("unix:"):
        return _socket(text.removeprefix("unix:"))
    try:
        return _network(text)
    except StoreAddressError:
        raise
    except ValueError:  # its message may quote a part of the password
        raise _unreadable() from None


def _socket(path: str) -> StoreAddress:
    if not path.startswith("/"):
        raise StoreAddressError("the store's address needs an absolute path: unix:/run/store.sock")
    return StoreAddress(Kind.SINGLE, path="/" + path.lstrip("/"))


def _network(text: str) -> StoreAddress:
    scheme, _, rest = text.partition("://")
    kind, tls = _scheme(scheme)
    if "?" in rest or "#" in rest:
        raise StoreAddressError(
            "the store's address takes no options: certificates, user and password file are settings of their own"
        )
    authority, _, path = rest.partition("/")  # not by urlsplit, which knows one host
    if "@" in path:  # what looks like a path is the rest of a password
        raise _unreadable()
    credentials, _, hosts = authority.rpartition("@")
    username, _, password = credentials.partition(":")
    service, database = _path(kind, path)
    return StoreAddress(
        kind,
        hosts=_hosts(kind, hosts),
        tls=tls,
        database=database,
        service=service,
        username=unquote(username),
        password=unquote(password),
    )


def _scheme(scheme: str) -> tuple[Kind, bool]:
    base, plus, variant = scheme.partition("+")
    try:
        return Kind(f"redis{plus}{variant}"), {"redis": False, "rediss": True}[base]
    except (ValueError, KeyError):
        raise StoreAddressError(f"the store's address must be {FORMS}") from None


def _hosts(kind: Kind, text: str) -> tuple[HostPort, ...]:
    usual = SENTINEL_PORT if kind is Kind.SENTINEL else PORT
    hosts = tuple(_host(part, usual) for part in text.split(","))
    if kind is Kind.SINGLE and len(hosts) > 1:
        raise StoreAddressError(
            "the store's address names several servers: write redis+sentinel:// or redis+cluster:// before them"
        )
    return hosts


def _host(text: str, usual: int) -> HostPort:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or not text.isprintable():
        raise _unreadable()
    return HostPort(parts.hostname, parts.port or usual)


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """The service of Sentinels, and the number of the database."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    service = ""
    if kind is Kind.SENTINEL:
        if not parts:
            raise StoreAddressError("the store's address names no master: redis+sentinel://HOST:PORT/SERVICE")
        service = unquote(parts.pop(0))
    if len(parts) > 1 or not all(part.isdecimal() for part in parts):
        raise StoreAddressError("the store's address may end in the number of a database, and in nothing else")
    database = int(parts[0]) if parts else 0
    if database and kind is Kind.CLUSTER:
        raise StoreAddressError("the store's address names a database, and a cluster has only database 0: leave it out")
    return service, database


def _unreadable() -> StoreAddressError:
    return StoreAddressError(
        "the store's address cannot be read: check host and port, and percent-encode user and password"
    )
