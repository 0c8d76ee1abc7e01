"""How a process reaches its store, from flags and environment. No flag takes a password: other users could read it.

The password is the text of a file, a variable of the environment, or a part of the address in one.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ratelimit_service.addresses import FORMS, StoreAddressError, parse_store_address
from ratelimit_service.connections import TIMEOUT, Login, StoreOptions, StoreTls
from service_kit.settings import ENVIRONMENT_PREFIX, SettingsParser

PASSWORD: Final = ENVIRONMENT_PREFIX + "STORE_PASSWORD"
SENTINEL_PASSWORD: Final = ENVIRONMENT_PREFIX + "STORE_SENTINEL_PASSWORD"
# Envoy waits a second for a decision, which may take several steps.
LONGEST_TIMEOUT: Final = 0.9


@dataclass(frozen=True)
class StoreSettings:
    """The store as `redis_store` takes it."""

    address: str
    options: StoreOptions


def add_store_settings(parser: SettingsParser) -> None:
    parser.setting("--store", help=f"address of Redis or Valkey: {FORMS}")
    parser.setting("--store-username", help="user of the store's access control list")
    parser.setting("--store-password-file", help=f"file with the store's password, instead of {PASSWORD}")
    parser.setting("--store-sentinel-username", help="user of the Sentinels' own access control list")
    parser.setting("--store-sentinel-password-file", help=f"file with their password, instead of {SENTINEL_PASSWORD}")
    parser.setting(
        "--store-tls-authority", help="PEM certificate authority of the store; without it, those of the system"
    )
    parser.setting("--store-tls-certificate", help="PEM certificate that this process shows to the store")
    parser.setting("--store-tls-private-key", help="PEM private key of that certificate")
    parser.setting("--store-timeout", help="seconds that a step may take in the store", default=str(TIMEOUT))


def store_settings(parser: SettingsParser, options: argparse.Namespace, environ: Mapping[str, str]) -> StoreSettings:
    """The settings; exits with a message where they cannot be used."""
    if not options.store:
        parser.error(f"--store is missing: write {FORMS}")
    _refuse_shown_password(parser, options.store, environ)
    return StoreSettings(
        options.store,
        StoreOptions(
            login=_login(parser, options, environ, "", PASSWORD),
            sentinel_login=_login(parser, options, environ, "sentinel_", SENTINEL_PASSWORD),
            tls=_tls(parser, options),
            timeout=_timeout(parser, options.store_timeout),
        ),
    )


def _refuse_shown_password(parser: SettingsParser, address: str, environ: Mapping[str, str]) -> None:
    if address == environ.get(ENVIRONMENT_PREFIX + "STORE"):
        return
    try:
        shown = parse_store_address(address).password
    except StoreAddressError as error:
        parser.error(f"--store: {error}")
    if shown:
        parser.error(
            "--store: a password on the command line can be read by every user of this machine: write the address to "
            f"{ENVIRONMENT_PREFIX}STORE, or the password to --store-password-file or {PASSWORD}"
        )


def _login(
    parser: SettingsParser, options: argparse.Namespace, environ: Mapping[str, str], whose: str, variable: str
) -> Login:
    values = vars(options)
    file, password = values[f"store_{whose}password_file"], environ.get(variable, "")
    flag = f"--store-{whose.replace('_', '-')}password-file"
    if file and password:
        parser.error(f"{flag}: the password is in {variable} as well: leave one of them out")
    if file:
        try:
            Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            parser.error(f"{flag}: {error}")
    username = values[f"store_{whose}username"] or ""
    return Login(username=username, password=password, password_file=Path(file) if file else None)


def _tls(parser: SettingsParser, options: argparse.Namespace) -> StoreTls:
    authority, certificate, key = (
        Path(file) if file else None
        for file in (options.store_tls_authority, options.store_tls_certificate, options.store_tls_private_key)
    )
    if (certificate is None) != (key is None):
        parser.error("--store-tls-certificate and --store-tls-private-key need each other")
    return StoreTls(authority, certificate, key)


def _timeout(parser: SettingsParser, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT:
        parser.error(f"--store-timeout must be seconds above 0, and at most {LONGEST_TIMEOUT}: Envoy waits no longer")
    return seconds
