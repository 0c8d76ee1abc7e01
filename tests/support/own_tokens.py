"""Tokens that a gateway under test could have signed itself: with the keys that it signs with, read where they lie."""

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing

import jwt
from envoy.config.bootstrap.v3 import bootstrap_pb2 as bootstrap_pb
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb

from control_plane.keys.signing.ring import Ring
from control_plane.keys.signing.sealed import sealed, unsealed
from control_plane.xds.packing import packed
from service_kit.gateway_tokens import ALGORITHM, SigningKey, signing
from tests.support.gateway import Gateway


def ring(gateway: Gateway, pepper: bytes) -> Ring:
    """The keys that the gateway signs with."""
    with closing(sqlite3.connect(gateway.folder / "state" / "users.sqlite")) as db:
        return unsealed(db.execute("select sealed from tollgate_signing_keys").fetchone()[0], pepper)


def put_ring(gateway: Gateway, pepper: bytes, keys: Ring) -> None:
    """As another control plane on the same database would."""
    with closing(sqlite3.connect(gateway.folder / "state" / "users.sqlite")) as db, db:
        db.execute("update tollgate_signing_keys set sealed = ?", (sealed(keys, pepper, os.urandom),))


def signed_by(key: SigningKey, claims: Mapping[str, object], **header: object) -> str:
    """A token with these claims; what is None is left out, of the header, too."""
    whole = {"kid": key.id, "typ": "at+jwt", **header}
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(
        present, key.private, ALGORITHM, {name: value for name, value in whole.items() if value is not None}
    )


def current(keys: Ring) -> SigningKey:
    """The key that signs now."""
    found = signing(keys, time.time())
    assert found is not None
    return found


def with_filters(bootstrap: bootstrap_pb.Bootstrap, told: Iterable[TypedExtensionConfig]) -> bootstrap_pb.Bootstrap:
    """With the content of filters that a control plane would tell beside the configuration."""
    content = {item.name: item.typed_config for item in told}
    for listener in bootstrap.static_resources.listeners:
        for chain in listener.filter_chains:
            manager = hcm_pb.HttpConnectionManager()
            chain.filters[-1].typed_config.Unpack(manager)
            for link in manager.http_filters:
                if link.name in content:
                    link.typed_config.CopyFrom(content[link.name])
            chain.filters[-1].typed_config.CopyFrom(packed(manager))
    return bootstrap
