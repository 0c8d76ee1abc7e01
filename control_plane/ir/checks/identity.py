"""Credentials: references to nothing, two that are one, and keys that verify nothing."""

from collections.abc import Iterator, Mapping

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from service_kit.verification_keys import UnusableKeys, jwks_keys, secret_keys

JWKS_CURE = "write a JSON Web Key Set (RFC 7517) with public keys for the algorithms named"


def identity_problems(source: config.Config, files: Mapping[str, bytes]) -> Iterator[Problem]:
    """What keeps credentials from being verified as written; `files` holds the content of each file by its name."""
    yield from _token_problems(source)
    yield from _unreadable_keys(source, files)


def _token_problems(source: config.Config) -> Iterator[Problem]:
    consumers = {consumer.name for consumer in source.consumers}
    issuers: dict[str, str] = {}
    tokens: dict[str, int] = {}
    for index, token in enumerate(source.identity.bearer_tokens):
        path: Path = ("identity", "bearer_tokens", index)
        if token.consumer is not None and token.consumer not in consumers:
            cure = did_you_mean(token.consumer, consumers) or "declare it in `consumers`"
            yield Problem((*path, "consumer"), f"there is no consumer {token.consumer!r}", cure)
        first = tokens.setdefault(token.token.get_secret_value(), index)
        if first != index:
            message = f"the token is that of entry {first + 1}, too"
            yield Problem((*path, "token"), message, "give each identity a token of its own")
    for index, issuer in enumerate(source.identity.jwt):
        twin = issuers.setdefault(issuer.issuer, issuer.name)
        if twin != issuer.name:
            yield Problem(
                ("identity", "jwt", index, "issuer"), f"{issuer.issuer!r} is the issuer of {twin!r}", "merge the two"
            )


def _unreadable_keys(source: config.Config, files: Mapping[str, bytes]) -> Iterator[Problem]:
    for index, issuer in enumerate(source.identity.jwt):
        path: Path = ("identity", "jwt", index, "keys")
        keys = issuer.keys
        try:
            if isinstance(keys, config.FileKeys):
                jwks_keys(files[keys.file].decode(), issuer.algorithms)
            elif isinstance(keys, config.SecretKeys):
                secret_keys(keys.secret.get_secret_value().encode(), issuer.algorithms)
        except (UnusableKeys, UnicodeDecodeError) as error:
            if isinstance(keys, config.FileKeys):
                yield Problem((*path, "file"), f"{keys.file}: {error}", JWKS_CURE)
            else:
                yield Problem((*path, "secret"), str(error), config.SECRET_CURE)
