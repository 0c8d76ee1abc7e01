"""Takes the identity from the certificate of the connection, which Envoy has verified against the listener's CA.

A connection may outlive its certificate: the end of its validity is looked at with each request.
"""

from dataclasses import replace

from authz_service.case import INVALID_TOKEN_CHALLENGE, Case, Denial
from authz_service.certificates import UnusableCertificate, certificate, subject_of
from authz_service.identity import Grant
from service_kit.contract import CREDENTIAL_MTLS

UNKNOWN = Denial(
    401,
    "unknown_certificate",
    "The client certificate is not that of a client which this gateway knows: check it, or ask to be added.",
    INVALID_TOKEN_CHALLENGE,
)


def mtls(case: Case) -> Case | Denial:
    """The case with what its certificate grants; other kinds of credential pass by."""
    if case.credential is None or case.policy.clients is None or case.credential.kind != CREDENTIAL_MTLS:
        return case
    try:
        shown = certificate(case.ask.certificate)
        name, client = case.policy.clients.found(shown, case.now)
        subject = subject_of(name)
    except UnusableCertificate as error:
        return replace(UNKNOWN, reason=str(error))
    grant = Grant(
        subject=subject,
        consumer=client.consumer or subject,
        named_consumer=client.consumer,
        tenant=client.tenant,
        plan=client.plan,
        key_id=shown.fingerprint,
        scopes=client.scopes,
        roles=client.roles,
        forward=False,
    )
    return replace(case, grant=grant)
