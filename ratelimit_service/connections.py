"""Clients of single servers: timeouts, TLS, who we say we are, and how Sentinels are asked for their master.

Nothing is repeated: a lost answer may have been counted. Passwords and certificates are read anew for each connection,
so that they can be exchanged while the process runs.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from ratelimit_service.addresses import HostPort, StoreAddress, StoreAddressError

# Seconds for one step, with waiting for those before it, connecting and loading the script.
TIMEOUT: Final = 0.25
# What one process needs: a round trip carries all that waits.
CONNECTIONS: Final = 8


@dataclass(frozen=True)
class Login:
    """Who we say we are; the file's text is the password, read at each connection."""

    username: str = ""
    password: str = field(default="", repr=False)
    password_file: Path | None = None


@dataclass(frozen=True)
class StoreTls:
    """PEM files: the authority of the store (None: those of the system), and our own pair where it asks for one."""

    authority: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


@dataclass(frozen=True)
class StoreOptions:
    """What an address does not say."""

    login: Login = Login()
    # Sentinels have users of their own.
    sentinel_login: Login = Login()
    tls: StoreTls = StoreTls()
    # Seconds.
    timeout: float = TIMEOUT


class LoginProvider(CredentialProvider):
    """The login as the client asks for it, before each connection."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        login = self._login
        password = login.password if login.password_file is None else login.password_file.read_text().strip()
        return (login.username, password) if login.username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()  # a small local file; and the inherited one complains in the log


class TlsConnection(Connection):
    """TLS with certificates that may be replaced: they are read again for each connection."""

    def __init__(self, *, files: StoreTls, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._files = files

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": _context(self._files)}


class TlsMasterConnection(SentinelManagedConnection, TlsConnection):
    """A connection to whatever server Sentinels name, with TLS."""


class Sentinels(Sentinel):
    """Asks all Sentinels at once: one that is frozen holds up nobody, one that was cut off does not decide."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        answers = await asyncio.gather(*(_master(sentinel, service_name) for sentinel in self.sentinels))
        known = [answer for answer in answers if answer is not None]
        if not known:
            raise MasterNotFoundError(f"no Sentinel names a master {service_name!r}")
        newest = max(known, key=lambda state: int(state["config-epoch"]))
        return str(newest["ip"]), int(newest["port"])


async def _master(sentinel: Redis, service: str) -> Mapping[str, Any] | None:
    try:
        state = await sentinel.sentinel_master(service)
    except (RedisError, OSError):
        return None
    return state if isinstance(state, dict) else None


def server_client(address: StoreAddress, host: HostPort | None, options: StoreOptions) -> Redis:
    """A client of one server of the address; StoreAddressError where a file of TLS cannot be used."""
    common = {**_common(options.timeout, _login(address, options.login)), "db": address.database}
    if host is None:
        return _client(UnixDomainSocketConnection, {**common, "path": address.path})
    return _tcp_client(address, host, options, common)


def master_client(address: StoreAddress, options: StoreOptions) -> tuple[Redis, Sentinels]:
    """A client of whatever server the Sentinels name when it connects, and the Sentinels, to be closed after it."""
    # less time than for a step, of which asking them is a part
    patience = options.timeout / 2
    of_sentinels = {**_common(patience, options.sentinel_login), "socket_timeout": patience}
    sentinels = Sentinels(())  # type: ignore[no-untyped-call]  # redis leaves it bare
    sentinels.sentinels = [_tcp_client(address, host, options, of_sentinels) for host in address.hosts]
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]  # redis leaves it bare
        address.service,
        sentinels,
        connection_class=TlsMasterConnection if address.tls else SentinelManagedConnection,
        db=address.database,
        max_connections=CONNECTIONS,
        **_common(options.timeout, _login(address, options.login)),
        **_tls(address, options),
    )
    return Redis.from_pool(pool), sentinels


def _tcp_client(address: StoreAddress, host: HostPort, options: StoreOptions, common: Mapping[str, Any]) -> Redis:
    connection = TlsConnection if address.tls else Connection
    return _client(connection, {**common, **_tls(address, options), "host": host.host, "port": host.port})


def _client(connection: type[AbstractConnection], arguments: Mapping[str, Any]) -> Redis:
    return Redis.from_pool(ConnectionPool(connection_class=connection, max_connections=CONNECTIONS, **arguments))


def _common(timeout: float, login: Login) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "socket_connect_timeout": timeout,
        # a timer for each answer would cost more than reading it; whoever asks sets one for the whole
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # connects with one command less, and asks for no push messages
    }
    if login != Login():
        arguments["credential_provider"] = LoginProvider(login)
    return arguments


def _login(address: StoreAddress, login: Login) -> Login:
    """The address's own login, or that of the settings: not both."""
    if not address.password and not address.username:
        return login
    if address.password and (login.password or login.password_file):
        raise StoreAddressError("the store's password is given twice: in its address, and beside it")
    if address.username and login.username:
        raise StoreAddressError("the store's user is given twice: in its address, and beside it")
    return Login(address.username or login.username, address.password or login.password, login.password_file)


def _tls(address: StoreAddress, options: StoreOptions) -> dict[str, StoreTls]:
    """The files as an argument of a connection, shown to be some that TLS can use."""
    if not address.tls:
        return {}
    try:
        _context(options.tls)
    except (OSError, ssl.SSLError) as error:
        raise StoreAddressError(f"the certificates for the store cannot be used: {error}") from error
    return {"files": options.tls}


def _context(files: StoreTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.authority)
    if files.certificate:
        context.load_cert_chain(files.certificate, files.private_key)
    return context
