"""What is sent as secrets, and what stays out of everything else."""

from control_plane.xds import names
from control_plane.xds.secrets import secrets
from tests.support.certificates import Authority
from tests.support.compiled import compiled, config, snapshots


def secret_config(**upstream: object) -> dict:
    return config(upstreams={"email": {"url": "https://10.0.0.1", **upstream}})


def test_every_secret_has_the_name_under_which_it_is_asked_for() -> None:
    authority = Authority()
    certificate, key = authority.issue("gateway")
    tls = {"ca": authority.pem, "certificate": certificate, "private_key": key}
    credential = {"header": "x-api-key", "value": "a-key-of-the-upstream"}
    found = {item.name: item for item in secrets(compiled(secret_config(tls=tls, credential=credential)).gateway)}

    assert found.keys() == {f"tollgate:upstream:email:{part}" for part in ("ca", "certificate", "credential")}
    assert found["tollgate:upstream:email:ca"].validation_context.trusted_ca.inline_string == authority.pem
    pair = found["tollgate:upstream:email:certificate"].tls_certificate
    assert (pair.certificate_chain.inline_string, pair.private_key.inline_bytes) == (certificate, key.encode())
    secret = found["tollgate:upstream:email:credential"].generic_secret.secret
    assert secret.inline_bytes == b"a-key-of-the-upstream"


def test_the_machines_authorities_are_sent_once_and_only_where_they_are_needed(tmp_path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Authority().pem)
    environ = {"SSL_CERT_FILE": str(bundle)}
    two = config(upstreams={name: {"url": f"https://{name}.internal"} for name in "ab"})
    none = secret_config(tls={"verify": False})

    (system,) = secrets(compiled(two, environ).gateway)
    assert (system.name, system.validation_context.trusted_ca.inline_string) == (names.SYSTEM_CA, bundle.read_text())
    assert list(secrets(compiled(none, environ).gateway)) == []


def test_clusters_hold_names_of_secrets_and_no_secret() -> None:
    authority = Authority()
    certificate, key = authority.issue("gateway")
    tls = {"ca": authority.pem, "certificate": certificate, "private_key": key}
    envoy, policies = snapshots(
        secret_config(tls=tls, credential={"header": "x-key", "value": "a-key-of-the-upstream"})
    )

    for kind in envoy.resources.keys() - {names.SECRET_TYPE}:
        for item in envoy.of(kind).values():
            assert b"-----BEGIN" not in item.body
            assert b"a-key-of-the-upstream" not in item.body
    assert all(
        b"a-key-of-the-upstream" not in item.body for named in policies.resources.values() for item in named.values()
    )
