"""Settings of a process, parsed once from flags and environment into a frozen object.

Each flag has an environment variable: `--control-plane` is `TOLLGATE_CONTROL_PLANE`. The flag wins.

Errors: SettingError
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service_kit.endpoint import Endpoint, EndpointError, parse_endpoint

ENVIRONMENT_PREFIX = "TOLLGATE_"
LOG_LEVEL_VARIABLE = ENVIRONMENT_PREFIX + "LOG_LEVEL"
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingError(ValueError):
    """A setting that cannot be used; the message names the cure."""


@dataclass(frozen=True)
class TlsFiles:
    """Certificate, key and the authority that signs the other side, as PEM files: mutual TLS, or none at all."""

    certificate: Path
    private_key: Path
    authority: Path


@dataclass(frozen=True)
class ServingSettings:
    """What a process needs that answers over gRPC: where it listens, and how it is watched."""

    listen: Endpoint
    metrics: Endpoint | None
    probe: Endpoint | None
    tls: TlsFiles | None
    log_level: str


@dataclass(frozen=True)
class ServiceSettings(ServingSettings):
    """What a service needs beside: who tells it its policy, and where it keeps the last good one."""

    control_plane: Endpoint
    state_dir: Path


def environment() -> Mapping[str, str]:
    """The environment of this process; called by entry points only."""
    return os.environ  # noqa: TID251 - the edge where settings are parsed


def log_level(text: str | None) -> str:
    """The level that the text names, `info` where it names none."""
    level = (text or "info").lower()
    if level not in LOG_LEVELS:
        raise SettingError(f"{text!r} is no log level: write {', '.join(LOG_LEVELS[:-1])} or {LOG_LEVELS[-1]}")
    return level


def without_grpc_fork_handlers() -> None:
    """For a process that starts others (they exec at once): gRPC would log at each start. Before gRPC is imported."""
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # noqa: TID251 - read by gRPC's own start-up code


class SettingsParser(argparse.ArgumentParser):
    """An argument parser whose options default to the environment and whose endpoints are checked."""

    def __init__(self, *, prog: str, description: str, environ: Mapping[str, str]) -> None:
        super().__init__(prog=prog, description=description)
        self._environ = environ

    def setting(self, flag: str, *, help: str, default: str | None = None) -> None:  # noqa: A002 - argparse's word
        """A text option; its default is the environment variable, then `default`."""
        variable = ENVIRONMENT_PREFIX + flag.removeprefix("--").replace("-", "_").upper()
        self.add_argument(flag, default=self._environ.get(variable, default), help=f"{help} [{variable}]")

    def endpoint(self, text: str | None, flag: str) -> Endpoint:
        """A required endpoint, or an exit that names the flag."""
        if not text:
            self.error(f"{flag} is missing: write HOST:PORT or unix:/path/to.sock")
        try:
            return parse_endpoint(text)
        except EndpointError as error:
            self.error(f"{flag}: {error}")

    def optional_endpoint(self, text: str | None, flag: str) -> Endpoint | None:
        return self.endpoint(text, flag) if text else None

    def log_level(self, text: str | None) -> str:
        try:
            return log_level(text)
        except SettingError as error:
            self.error(f"--log-level: {error}")

    def tls(self, options: argparse.Namespace) -> TlsFiles | None:
        """The files of mutual TLS: all three or none."""
        files = (options.tls_certificate, options.tls_private_key, options.tls_authority)
        if not any(files):
            return None
        if not all(files):
            self.error("mutual TLS needs --tls-certificate, --tls-private-key and --tls-authority")
        return TlsFiles(*(Path(file) for file in files))

    def add_tls_settings(self) -> None:
        self.setting("--tls-certificate", help="PEM certificate of this process")
        self.setting("--tls-private-key", help="PEM private key of this process")
        self.setting("--tls-authority", help="PEM certificate authority that signs the other side")


def serving_parser(prog: str, description: str, environ: Mapping[str, str]) -> SettingsParser:
    """A parser with the options of every process that answers over gRPC."""
    parser = SettingsParser(prog=prog, description=description, environ=environ)
    parser.setting("--listen", help="address of the gRPC service")
    parser.setting("--metrics", help="address of the Prometheus endpoint")
    parser.setting("--probe", help="address of a plaintext port that answers grpc.health.v1 and nothing else")
    parser.setting("--log-level", help="debug, info, warning or error", default="info")
    parser.add_tls_settings()
    return parser


def service_parser(prog: str, description: str, environ: Mapping[str, str]) -> SettingsParser:
    """The same with those of a process that has a policy; a service adds its own before parsing."""
    parser = serving_parser(prog, description, environ)
    parser.setting("--control-plane", help="address of the control plane's xDS server")
    parser.setting("--state-dir", help="directory for the last good policies", default=".tollgate")
    return parser


def parsed_serving_settings(parser: SettingsParser, options: argparse.Namespace) -> ServingSettings:
    return ServingSettings(
        listen=parser.endpoint(options.listen, "--listen"),
        metrics=parser.optional_endpoint(options.metrics, "--metrics"),
        probe=parser.optional_endpoint(options.probe, "--probe"),
        tls=parser.tls(options),
        log_level=parser.log_level(options.log_level),
    )


def parsed_service_settings(parser: SettingsParser, argv: Sequence[str]) -> tuple[ServiceSettings, argparse.Namespace]:
    """The settings and the namespace that holds a service's own options."""
    options = parser.parse_args(argv)
    serving = parsed_serving_settings(parser, options)
    return (
        ServiceSettings(
            **vars(serving),
            control_plane=parser.endpoint(options.control_plane, "--control-plane"),
            state_dir=Path(options.state_dir),
        ),
        options,
    )
