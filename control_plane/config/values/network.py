"""Addresses, URLs, hosts and networks."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from control_plane.config.values.base import Mistake, scalar
from control_plane.config.values.paths import absolute_path
from service_kit.endpoint import EndpointError, TcpEndpoint, parse_endpoint

HOST_PATTERN = r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
ADDRESS_PATTERN = r"^.+:[0-9]{1,5}$"
URL_PATTERN = r"^https?://"
LONGEST_HOST = 253
NETWORK_PATTERN = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"
ORIGIN_PATTERN = r"^(\*|https?://.+)$"
DEFAULT_PORTS = {"http": 80, "https": 443}
DOCUMENT_CURE = "write https://HOST/PATH"
# RFC 3986, without a fragment, which is not sent.
DOCUMENT_TEXT = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
URL_CURE = "write http://HOST:PORT or https://HOST:PORT"
# Names of containers may hold underscores.
UPSTREAM_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
UPSTREAM_HOST = re.compile(rf"{UPSTREAM_LABEL}(\.{UPSTREAM_LABEL})*")


def address(text: str) -> TcpEndpoint:
    """The IP address and port of a listener; Envoy binds addresses, it resolves no names."""
    if not re.fullmatch(ADDRESS_PATTERN, text):
        raise Mistake("is no address", "write IP:PORT, such as 0.0.0.0:8800 or [::]:8800", value=text)
    try:
        endpoint = parse_endpoint(text)
    except EndpointError:
        raise Mistake("is no address", "write IP:PORT with a port from 1 to 65535", value=text) from None
    if not isinstance(endpoint, TcpEndpoint) or not is_ip(endpoint.host):
        raise Mistake("does not name an IP address", "write one, such as 127.0.0.1:8800 or 0.0.0.0:8800", value=text)
    if endpoint.port == 0:
        raise Mistake("has port 0, which would be another one at each start", "name a port", value=text)
    return endpoint


@dataclass(frozen=True)
class UpstreamAddress:
    """Where an upstream listens, whether it speaks TLS, and the path that stands before every request's own."""

    host: str
    port: int
    tls: bool
    path: str

    def __str__(self) -> str:
        scheme = "https" if self.tls else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path}"


def upstream_url(text: str) -> UpstreamAddress:
    """`http://host:port` or `https://host:port`, with a path that is put before that of each request."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError:
        raise (_with_a_password() if "@" in text else Mistake("is no URL", URL_CURE, value=text)) from None
    if parts.username is not None:
        raise _with_a_password()
    if parts.scheme not in DEFAULT_PORTS or not (UPSTREAM_HOST.fullmatch(host) or is_ip(host)):
        raise Mistake("is no URL of an upstream", URL_CURE, value=text)
    if not text.isprintable() or {"?", "#"} & set(text):
        # Not shown: keys stand in queries.
        raise Mistake("the URL says more than host, port and path", "drop `?` or `#` and what follows")
    if port == 0:
        raise Mistake("has port 0, where nothing listens", "name the upstream's port", value=text)
    path = parts.path.rstrip("/")
    return UpstreamAddress(host, port, tls=parts.scheme == "https", path=absolute_path(path) if path else "")


def _open_to_some() -> Mistake:
    """Does not show the URL."""
    return Mistake("the URL holds a user name or password", "publish the document without one")


def _no_document(text: str) -> Mistake:
    """Does not show what may stand in a query."""
    if "?" in text:
        return Mistake("the text is no URL of a document", DOCUMENT_CURE)
    return Mistake("is no URL of a document", DOCUMENT_CURE, value=text)


def _with_a_password() -> Mistake:
    """Does not show the URL."""
    cure = "write http://HOST:PORT, and the secret as the upstream's `credential`"
    return Mistake("the URL holds a user name or password", cure)


@dataclass(frozen=True)
class PublishedUrl:
    """Where a document is published; written as the text it was parsed from."""

    text: str
    host: str
    encrypted: bool

    def __str__(self) -> str:
        return self.text


def published_url(text: str) -> PublishedUrl:
    """`https://host[:port]/path[?query]` of a document, or `http://`."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise (_open_to_some() if "@" in text else _no_document(text)) from None
    if parts.username is not None:
        raise _open_to_some()
    # Not what urlsplit drops in silence: line ends and tabs inside.
    if not DOCUMENT_TEXT.fullmatch(text) or parts.scheme not in DEFAULT_PORTS or port == 0:
        raise _no_document(text)
    if not (UPSTREAM_HOST.fullmatch(host) or is_ip(host)):
        raise _no_document(text)
    return PublishedUrl(text, host, parts.scheme == "https")


def authority(host: str, port: int, *, tls: bool) -> str:
    """The Host that any client of this place sends: without the port where it is the scheme's own (RFC 9110, 7.2)."""
    named = f"[{host}]" if ":" in host else host
    return named if port == DEFAULT_PORTS["https" if tls else "http"] else f"{named}:{port}"


def host(text: str) -> str:
    """A host name, or `*.` and a suffix, as clients send it in lower case and without a port."""
    if text == "*":
        raise Mistake("matches every host", "drop `hosts`: without it a route takes all hosts", value=text)
    if text != text.lower():
        raise Mistake("has capital letters", f"write {text.lower()!r}", value=text)
    if not re.fullmatch(HOST_PATTERN, text) or len(text) > LONGEST_HOST:
        cure = "write api.example.com or *.example.com: no scheme, no port, international names as xn--"
        raise Mistake("is no host name", cure, value=text)
    return text


def is_ip(text: str) -> bool:
    return ip_of(text) is not None


def ip_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that the text is, without a zone; None where it is a name."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def network(text: str) -> str:
    """An IP address or a network in CIDR notation, in its shortest form."""
    if not re.fullmatch(NETWORK_PATTERN, text):
        raise Mistake("is no network", "write 10.0.0.0/8, 2001:db8::/32 or one address", value=text)
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        try:
            wider = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise Mistake("is no network", "write 10.0.0.0/8, 2001:db8::/32 or one address", value=text) from None
        raise Mistake("has bits of a host in it", f"write {wider} or {text.partition('/')[0]}", value=text) from None
    return str(found)


def origin(text: str) -> str:
    """An origin as browsers send it (RFC 6454): scheme, host and port; `*` alone, or before a suffix of the host."""
    if text == "*":
        return text
    scheme, separator, rest = text.partition("://")
    name, _, port = rest.partition(":")
    named = re.fullmatch(HOST_PATTERN, name.lower()) and len(name) <= LONGEST_HOST
    if not separator or scheme not in DEFAULT_PORTS or not named or (":" in rest and not port.isdigit()):
        cure = "write https://app.example.com, https://*.example.com or *: no path, no slash at the end"
        raise Mistake("is no origin", cure, value=text)
    if text != text.lower():
        raise Mistake("has capital letters", f"write {text.lower()!r}", value=text)
    return text


Host = Annotated[str, scalar(host, pattern=HOST_PATTERN, description="a host such as api.example.com or *.example.com")]
Address = Annotated[
    TcpEndpoint, scalar(address, pattern=ADDRESS_PATTERN, description="an address such as 0.0.0.0:8800")
]
UpstreamUrl = Annotated[
    UpstreamAddress, scalar(upstream_url, pattern=URL_PATTERN, description="a URL such as http://HOST:PORT")
]
PublishedUrlText = Annotated[
    PublishedUrl, scalar(published_url, pattern=URL_PATTERN, description="a URL such as https://HOST/PATH")
]
Network = Annotated[
    str, scalar(network, pattern=NETWORK_PATTERN, description="a network such as 10.0.0.0/8 or 2001:db8::/32")
]
Origin = Annotated[str, scalar(origin, pattern=ORIGIN_PATTERN, description="an origin such as https://app.example.com")]
