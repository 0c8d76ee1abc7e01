"""Where the keys of an issuer come from: a secret, a file, a URL, or the issuer itself (OIDC Discovery)."""

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from control_plane.config.errors import Path
from control_plane.config.model.base import DISCOVERY, FILE, KEY_SOURCE, SECRET, URL, Model
from control_plane.config.model.secrets import HmacSecret
from control_plane.config.values.base import Mistake
from control_plane.config.values.network import PublishedUrl, PublishedUrlText, ip_of, published_url
from control_plane.config.values.quantities import Refresh
from control_plane.config.values.text import Text
from service_kit.public_address import why_never, why_not_public

DEFAULT_REFRESH: Final = 300.0
ALLOW_URL: Final = "`private_addresses: allow`"
ALLOW_DISCOVERY: Final = "`keys: {discovery: {private_addresses: allow}}`"


class SecretKeys(Model):
    """One HMAC secret that signs and verifies."""

    secret: HmacSecret = Field(description="the secret, at least 32 bytes")


class FileKeys(Model):
    """A JSON Web Key Set in a file; a change of the file is followed."""

    file: Text = Field(description="path of a JWKS file, relative to this configuration")


RefreshKey = Annotated[Refresh, Field(description="how often the set is fetched again")]
PrivateAddresses = Annotated[
    Literal["deny", "allow"],
    Field(description="whether the server may stand on a private network, and speak plain http"),
]


class Fetching(Model):
    """How often a key set is fetched, and where its server may stand."""

    refresh: RefreshKey = DEFAULT_REFRESH
    private_addresses: PrivateAddresses = "deny"


class UrlKeys(Model):
    """A JSON Web Key Set that is fetched from a URL, again and again."""

    url: PublishedUrlText = Field(description="https URL of the JWKS; no redirect is followed")
    refresh: RefreshKey = DEFAULT_REFRESH
    private_addresses: PrivateAddresses = "deny"


class DiscoveryKeys(Model):
    """The key set that the issuer names in its discovery document, below `issuer`."""

    discovery: Fetching = Field(Fetching(), description="how the document and the set are fetched")


def _kind(value: Any) -> str | None:
    """The branch of the one source that is named."""
    if isinstance(value, dict):
        named = [branch for key, branch in _BRANCHES.items() if key in value]
        return named[0] if len(named) == 1 else None
    return next((branch for kind, branch in _MODELS.items() if isinstance(value, kind)), None)


_BRANCHES: Final = {"secret": SECRET, "file": FILE, "url": URL, "discovery": DISCOVERY}
_MODELS: Final = {SecretKeys: SECRET, FileKeys: FILE, UrlKeys: URL, DiscoveryKeys: DISCOVERY}
Keys = Annotated[
    Annotated[SecretKeys, Tag(SECRET)]
    | Annotated[FileKeys, Tag(FILE)]
    | Annotated[UrlKeys, Tag(URL)]
    | Annotated[DiscoveryKeys, Tag(DISCOVERY)],
    Discriminator(_kind, custom_error_type=KEY_SOURCE, custom_error_message=KEY_SOURCE),
]


def check_place(keys: UrlKeys | DiscoveryKeys, issuer: str) -> None:
    """Mistake where nothing could ever be fetched from there, or by anybody who is on the way."""
    if isinstance(keys, UrlKeys):
        _check(keys.url, keys.private_addresses, ALLOW_URL, at=("keys", "url"))
    else:
        _check(_discovered(issuer), keys.discovery.private_addresses, ALLOW_DISCOVERY, at=("issuer",))


def _discovered(issuer: str) -> PublishedUrl:
    try:
        found = published_url(issuer)
    except Mistake:
        message = f"{issuer!r} is no URL to discover keys at"
        raise Mistake(message, "write where its keys are: `keys: {url: https://...}`", at=("issuer",)) from None
    if "?" in issuer:
        cure = "write where its keys are: `keys: {url: https://...}`"
        raise Mistake("an issuer with a query has no discovery document", cure, at=("issuer",))
    return found


def _check(url: PublishedUrl, private_addresses: str, allow: str, *, at: Path) -> None:
    private = private_addresses == "allow"
    if not private and not url.encrypted:
        cure = f"write https://, or {allow} where it is on a network of your own"
        raise Mistake("keys that come over plain http may be anybody's", cure, at=at)
    address = ip_of(url.host)
    reason = None if address is None else why_never(address) if private else why_not_public(address)
    if reason is not None:
        cure = "name another host" if private else f"write {allow} if it is on a network of your own"
        raise Mistake(f"the address {address} is {reason}", cure, at=at)
