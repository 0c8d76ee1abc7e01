"""What the gateway says of itself as an issuer (OpenID Connect Discovery 1.0, 3; RFC 8414, 2)."""

from authz_service.oauth.asked import GRANT_TYPE
from service_kit.gateway_tokens import ALGORITHM, KEYS_PATH, TOKEN_PATH


def configuration(issuer: str) -> dict[str, object]:
    """The document of this issuer. There is nobody to log in, so no flow of the authorization endpoint."""
    return {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN_PATH,
        "jwks_uri": issuer + KEYS_PATH,
        "grant_types_supported": [GRANT_TYPE],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
