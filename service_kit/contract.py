"""What two processes must agree on: header names, metadata namespaces, descriptor keys, resource types.

Every name here is written by one process and read by another (docs/contracts.md says which); a test stands behind each.
"""

from typing import Final

# Headers that only the gateway sets. Client copies are removed before the route is chosen.
INTERNAL_HEADER_PREFIX: Final = "x-tollgate-"
REQUEST_ID_HEADER: Final = "x-request-id"
# Names that no client may bring, as regular expressions of whole names. Upstreams that read every sign as "_" must not
# meet an alias of ours; nobody but the gateway says where a request was sent, and nobody but it and the proxies that it
# trusts where it came from.
FORWARDED_FOR_HEADER: Final = "x-forwarded-for"
# What a client asked for, where the gateway asks an upstream for another host.
FORWARDED_HOST_HEADER: Final = "x-forwarded-host"
PROXY_FORBIDDEN_HEADERS: Final = (
    "x[^a-z0-9]+tollgate([^a-z0-9].*)?",
    "x-envoy-.*",
    REQUEST_ID_HEADER,
    "forwarded|x-forwarded-(host|port|prefix|server)|x-real-ip|true-client-ip|x-client-ip",
    "x-original-(url|uri|host)|x-rewrite-url",
    "x-http-method(-override)?|x-method-override",  # past a route for POST, to an upstream that reads DELETE
    "proxy|proxy-authorization",
)
CLIENT_FORBIDDEN_HEADERS: Final = (*PROXY_FORBIDDEN_HEADERS, FORWARDED_FOR_HEADER)

# The parts of an identity, in the order of the log and of the descriptor. "-" stands for what is missing.
IDENTITY_PARTS: Final = ("subject", "tenant", "consumer", "plan", "key_id", "models", "profile")
# The part that restricts its holder to some language models, as patterns that commas surround: ",llama3.1:*,mistral,",
# and "," alone for none. Who is not restricted has none.
IDENTITY_MODELS: Final = "models"
MISSING: Final = "-"


def identity_header(part: str) -> str:
    """The header that carries a part of the identity: `key_id` travels in `x-tollgate-key-id`."""
    return INTERNAL_HEADER_PREFIX + part.replace("_", "-")


IDENTITY_NAMESPACE: Final = "tollgate.identity"
LIMIT_NAMESPACE: Final = "tollgate.limit"

# The profile of a route that asks for no identity.
PUBLIC_PROFILE: Final = MISSING

# Tolerance in seconds for a token's dates: more would keep expired tokens alive.
LONGEST_LEEWAY: Final = 60
# 9999-12-31T23:59:59Z: beyond it a number is no date.
LATEST_DATE: Final = 253_402_300_799
# Bytes of a credential, without what stands before it.
LONGEST_CREDENTIAL: Final = 8192

# What the compiled route hands to the authorizer (`context_extensions`). The authorizer refuses keys it does not know.
EXTENSION_ROUTE: Final = "route"
EXTENSION_PROFILE: Final = "profile"
EXTENSION_ACCEPT: Final = "accept"
EXTENSION_SCOPES: Final = "scopes"
EXTENSION_ROLES: Final = "roles"
EXTENSION_PLANS: Final = "plans"
EXTENSION_MODE: Final = "mode"
# Whose API the client speaks, where an error must look like that one's.
EXTENSION_DIALECT: Final = "dialect"
# What every route says, and what it says where it has something to say: another version would not know it.
ALWAYS_SAID: Final = frozenset(
    {EXTENSION_ROUTE, EXTENSION_PROFILE, EXTENSION_ACCEPT, EXTENSION_SCOPES, EXTENSION_ROLES}
)
EXTENSIONS: Final = ALWAYS_SAID | {EXTENSION_PLANS, EXTENSION_MODE, EXTENSION_DIALECT}
# How demands are kept; a route that says nothing has them enforced.
MODE_ENFORCE: Final = "enforce"
MODE_REPORT: Final = "report"
# APIs of language models by whose errors clients know what happened.
DIALECT_OPENAI: Final = "openai"
DIALECT_OLLAMA: Final = "ollama"

# What Envoy tells the translator of each call, as metadata of the stream: the client's dialect, the provider (as in
# `upstreams.*.api`), and the upstream's name for the model.
TRANSLATED_DIALECT: Final = INTERNAL_HEADER_PREFIX + "dialect"
TRANSLATED_PROVIDER: Final = INTERNAL_HEADER_PREFIX + "provider"
TRANSLATED_MODEL: Final = INTERNAL_HEADER_PREFIX + "model"
# And by which of OpenAI's names the upstream takes the length of a chat's answer, where that is not the older one.
TRANSLATED_LENGTH: Final = INTERNAL_HEADER_PREFIX + "length"
# And, as `UNASKED`, that its streams are not to be asked for their usage.
TRANSLATED_USAGE: Final = INTERNAL_HEADER_PREFIX + "usage"
UNASKED: Final = "unasked"
# Beside it, with a head of an answer: an attribute that says who made it. Without it, the gateway's own errors would be
# taken for the upstream's.
TRANSLATED_ATTRIBUTE: Final = "response.code_details"
# What this is, where the translator itself has answered: in the client's dialect already.
TRANSLATED_DETAILS: Final = "translator"

# Kinds of credential a route may accept.
CREDENTIAL_JWT: Final = "jwt"
CREDENTIAL_BEARER: Final = "bearer"
CREDENTIAL_API_KEY: Final = "api_key"
CREDENTIAL_MTLS: Final = "mtls"
# Accepted beside others: a request without any credential passes as this subject and consumer.
CREDENTIAL_ANONYMOUS: Final = "anonymous"

# What the authorizer says of a decision: metadata in the namespace of Envoy's filter, and a header of refusals.
DECISION_NAMESPACE: Final = "envoy.filters.http.ext_authz"
DECISION_ID: Final = "decision_id"
DECISION_WOULD_DENY: Final = "would_deny"
DECISION_HEADER: Final = "x-tollgate-decision-id"
# Where the authorizer finds the client's address: Envoy has written it by then, one address, whatever a client sent.
CLIENT_ADDRESS_HEADER: Final = FORWARDED_FOR_HEADER
# By which listener a request came, for the endpoints of the authorizer.
LISTENER_HEADER: Final = INTERNAL_HEADER_PREFIX + "listener"

# The one descriptor of a rate-limit call that Envoy cannot drop, and the one with the client's address.
RATELIMIT_DOMAIN: Final = "tollgate"
DESCRIPTOR_ROUTE: Final = "route"
DESCRIPTOR_IDENTITY: Final = ("subject", "tenant", "consumer", "plan")
# Envoy names this one; the value is a whole address.
DESCRIPTOR_IP: Final = "remote_address"
# Envoy names this one, too: at the end of a stream, behind the address, who was asked last.
DESCRIPTOR_CLUSTER: Final = "destination_cluster"

# Calls that hold something until their end carry the hold's id in both calls to the limiter, and numbers, each as a
# descriptor of its own whose hits are the number. Envoy drops what it cannot read: a number that is missing is refused.
DESCRIPTOR_HOLD: Final = "hold"
DESCRIPTOR_DONE: Final = "done"
DESCRIPTOR_NUMBER: Final = "number"
NUMBER_RECEIVED: Final = "received"
NUMBER_SENT: Final = "sent"
NUMBER_STATUS: Final = "status"
# How often an upstream was asked; 0 or not told: never.
NUMBER_ATTEMPTS: Final = "attempts"
# Output tokens that the limiter has held, as its answer said in metadata.
NUMBER_HELD: Final = "held"
NUMBERS_OUTPUT: Final = ("max_tokens", "max_completion_tokens", "num_predict")
NUMBER_ANSWERS: Final = "n"
NUMBERS_USED: Final = ("input", "output", "total", "cached")
# Of the output what was thought, and not said. For the log alone: it is no more than a part of what is charged.
NUMBER_REASONING: Final = "reasoning"
# Of a stream what has passed, in tokens as far as that can be seen from outside: for one that never told its usage.
NUMBER_PIECES: Final = "pieces"
NUMBERS_READ: Final = (*NUMBERS_USED, NUMBER_REASONING, NUMBER_PIECES)
# What a metered call brings when it begins, and when its stream ends, in this order.
NUMBERS_ASKED: Final = (*NUMBERS_OUTPUT, NUMBER_ANSWERS, NUMBER_RECEIVED)
NUMBERS_DONE: Final = (
    *NUMBERS_USED, NUMBER_RECEIVED, NUMBER_SENT, NUMBER_PIECES, NUMBER_STATUS, NUMBER_ATTEMPTS, NUMBER_HELD,
)  # fmt: skip
# In the response code details of a call that was refused for its numbers: no limiter was asked.
UNCOUNTED: Final = "tokens-not-countable"
LLM_NAMESPACE: Final = "tollgate.llm"
USAGE_NAMESPACE: Final = "tollgate.usage"

# Keys of the metadata that a rate-limit answer sets in LIMIT_NAMESPACE.
LIMIT_KIND: Final = "kind"
LIMIT_RULE: Final = "rule"
LIMIT_REMAINING: Final = "remaining"
LIMIT_MESSAGE: Final = "message"
LIMIT_WOULD_REFUSE: Final = "would_refuse"
LIMIT_HELD: Final = "held"
# Of a spent quota, for the typed body of a 402.
LIMIT_USAGE: Final = "usage"
LIMIT_USED: Final = "used"
LIMIT_LIMIT: Final = "limit"
LIMIT_WINDOW: Final = "window"
LIMIT_RESETS_AT: Final = "resets_at"
# What a refusal is: 429, 402, 400 for a call whose cost cannot be known or never fits, and 403 for a caller who lacks
# what a rule counts apart.
KIND_LIMIT: Final = "limit"
KIND_QUOTA: Final = "quota"
KIND_REQUEST: Final = "request"
KIND_CALLER: Final = "caller"

# xDS resource types of the services' policies.
TYPE_PREFIX: Final = "type.googleapis.com/"
AUTHZ_POLICY_TYPE: Final = TYPE_PREFIX + "tollgate.policy.v1.AuthzPolicy"
LIMIT_SET_TYPE: Final = TYPE_PREFIX + "tollgate.policy.v1.LimitSet"
LEDGER_POLICY_TYPE: Final = TYPE_PREFIX + "tollgate.policy.v1.LedgerPolicy"
LEDGER_POLICY_NAME: Final = "default"
POLICY_TYPES: Final = (AUTHZ_POLICY_TYPE, LIMIT_SET_TYPE, LEDGER_POLICY_TYPE)
# Keys and consumers that were made at run time; a key comes after the consumer that it names.
CONSUMER_TYPE: Final = TYPE_PREFIX + "tollgate.policy.v1.Consumer"
API_KEY_TYPE: Final = TYPE_PREFIX + "tollgate.policy.v1.ApiKey"
IDENTITY_TYPES: Final = (CONSUMER_TYPE, API_KEY_TYPE)
# What the gateway signs its own tokens with.
SIGNING_KEYS_TYPE: Final = TYPE_PREFIX + "tollgate.policy.v1.SigningKeys"
SIGNING_KEYS_NAME: Final = "default"
# What is served beside what a configuration says, and kept before it is acknowledged: what is taken away in it must be
# gone, also after a restart.
BESIDE_TYPES: Final = (*IDENTITY_TYPES, SIGNING_KEYS_TYPE)
AUTHZ_POLICY_NAME: Final = "default"


def route_limits_name(route: str) -> str:
    """Resource name of a route's LimitSet."""
    return f"route/{route}"


def plan_limits_name(plan: str) -> str:
    """Resource name of a plan's LimitSet."""
    return f"plan/{plan}"


def consumer_limits_name(consumer: str) -> str:
    """Resource name of the LimitSet of a consumer that has rules of its own."""
    return f"consumer/{consumer}"


def tenant_limits_name(tenant: str) -> str:
    """Resource name of the LimitSet of a tenant that has rules of its own."""
    return f"tenant/{tenant}"


# APIs of language models, by which the routes of their calls are named; nothing behind the colon: no model took it.
LLM_APIS: Final = (
    "chat", "completions", "embeddings", "ollama-chat", "ollama-generate", "ollama-embed", "ollama-embeddings",
)  # fmt: skip
# Those that answer without a word.
WORDLESS_APIS: Final = ("embeddings", "ollama-embed", "ollama-embeddings")
MODEL_SIGN: Final = ":"


def model_route_name(api: str, model: str) -> str:
    """The route of calls of a model by an API; names in a configuration have no such sign."""
    return f"{api}{MODEL_SIGN}{model}"


# Usages that every gateway knows; others are named by routes.
USAGE_REQUESTS: Final = "requests"
USAGE_TOKENS: Final = "tokens"
USAGE_USD: Final = "usd"
USAGES: Final = (USAGE_REQUESTS, USAGE_TOKENS, USAGE_USD)


# node.cluster of the consumers of the ADS server: policies go to services, Envoy's types to Envoys.
SERVICE_NODE_CLUSTER: Final = "tollgate-service"
ENVOY_NODE_CLUSTER: Final = "tollgate-envoy"
# Names of groups of Envoys: in the configuration, in a node's metadata and in certificates.
GROUP_PATTERN: Final = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
