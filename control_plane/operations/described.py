"""A configuration in its author's words, as plain texts that two processes can compare.

Each named element has the keys that differ from their defaults: a default that is written out equals one that is not,
and an order that means nothing is not told. A secret is a keyed hash: that it changed shows, what it is does not.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from control_plane.checked import Checked
from control_plane.config.authorities import SYSTEM_CA
from control_plane.config.discovered import models_file
from control_plane.config.key_sets import key_sets_of
from control_plane.config.load import Loaded
from control_plane.config.model import (
    UNITS,
    UNLIMITED,
    BearerToken,
    Config,
    Consumer,
    FileKeys,
    JwtIssuer,
    Route,
)
from control_plane.operations.reports import Element, NodeReport, ResourceVersion, Running, ServedType, WiringReport
from control_plane.snapshot import Release, Resource, resource
from control_plane.xds.wiring import Wiring
from service_kit.contract import AUTHZ_POLICY_TYPE
from tollgate_pb.tollgate.policy.v1 import policy_pb2 as policy_pb

# What the text of a secret begins with; nothing that stands in a file reads so.
SECRET: Final = "\N{LOCK}"  # noqa: S105 - a mark, not a secret
# The only lists of the language whose order means something.
ORDERED: Final = frozenset({"compression", "fallback", "upstreams"})
# JSON that is merged into bodies: what stands in it is not of this language.
JSON_KEYS: Final = frozenset({"merge"})

Keys = Iterator[tuple[str, str]]


def hashing_key(token: str) -> bytes:
    """The key that both sides of a difference derive from the admin token."""
    return hashlib.blake2b(token.encode(), digest_size=32, person=b"tollgate diff").digest()


def described(config: Config, referenced: Mapping[str, bytes], key: bytes) -> dict[str, Element]:
    """The elements by address, such as `routes.email`; `referenced` is the content of the files they name."""
    words = _Words(key)
    found = {
        "defaults": Element(words.of(config.defaults)),
        "admin": Element(words.of(config.admin), where=(str(config.admin.address),)),
    }
    for name, listener in config.listeners.items():
        found[f"listeners.{name}"] = Element(words.of(listener), where=(str(listener.address),))
    for name, plan in config.plans.items():
        found[f"plans.{name}"] = Element({key: text for key, text in words.of(plan).items() if text != UNLIMITED})
    for name, upstream in config.upstreams.items():
        found[f"upstreams.{name}"] = Element(words.of(upstream), where=tuple(sorted(map(str, upstream.addresses))))
    found.update(_callers(config, words))
    if config.ledger is not None:
        found["ledger"] = Element(words.of(config.ledger))
    if keys := words.of(config.identity.api_keys):
        found["identity.api_keys"] = Element(keys)
    for issuer in config.identity.jwt:
        found[f"identity.jwt.{issuer.name}"] = Element({**words.of(issuer), **_key_set(issuer, referenced, words)})
    for route in config.routes:
        found[f"routes.{route.name}"] = Element(
            words.of_route(route), tuple(_uses_of_a_route(route, config)), _where(route)
        )
    found.update(_of_models(config, words))
    if SYSTEM_CA in referenced:
        found["system"] = Element({"authorities": words.secret(referenced[SYSTEM_CA])})
    return found


def _callers(config: Config, words: "_Words") -> Iterator[tuple[str, Element]]:
    for consumer in config.consumers:
        uses = _plan(consumer.plan, config)
        yield f"consumers.{consumer.name}", Element(words.of(consumer), uses, _tenant(consumer))
    for tenant in config.tenants:
        yield f"tenants.{tenant.name}", Element(words.of(tenant), where=(tenant.name,))
    for token in config.identity.bearer_tokens:
        uses = _uses_of_a_token(token, config)
        yield f"identity.bearer_tokens.{token.name}", Element(words.of(token), uses, _tenant(token))


def _of_models(config: Config, words: "_Words") -> Iterator[tuple[str, Element]]:
    """Language models, the endpoints that all of them share, and where others are looked for."""
    if keys := words.of(config.llm):
        yield "llm", Element(keys)
    for model in config.models:
        uses = tuple(f"upstreams.{name}" for name in sorted(model.upstreams))
        yield f"models.{model.name}", Element(words.of(model), uses, (model.name, *sorted(model.aliases)))
    if config.discovery is not None:
        uses = tuple(f"upstreams.{name}" for name in sorted(config.discovery.upstreams))
        yield "discovery", Element(words.of(config.discovery), uses)


def running(
    checked: Checked, release: Release, wiring: Wiring, key: bytes, nodes: Iterable[NodeReport] = ()
) -> Running:
    """What a difference is taken from, of a configuration that is live or would be."""
    tls, keys = wiring.tls, checked.gateway.api_keys
    is_ours = keys is not None and keys.pepper is None
    return Running(
        elements=described(checked.loaded.config, checked.loaded.referenced, key),
        types={
            type_url: ServedType({name: _served(item, has_our_pepper=is_ours) for name, item in named.items()})
            for held in (release.envoy, release.policies)
            for type_url, named in held.resources.items()
        },
        wiring=WiringReport(
            authz=str(wiring.authz),
            ratelimit=str(wiring.ratelimit),
            access_log=wiring.access_log,
            tls_certificate="" if tls is None else str(tls.certificate),
            tls_private_key="" if tls is None else str(tls.private_key),
            tls_authority="" if tls is None else str(tls.authority),
            oauth="" if wiring.oauth is None else str(wiring.oauth),
            usage="" if wiring.usage is None else str(wiring.usage),
            translator="" if wiring.translator is None else str(wiring.translator),
        ),
        nodes=tuple(nodes),
        key_sets={name: content.decode() for name, content in key_sets_of(checked.loaded).items()},
        models=_found(checked.loaded),
    )


def _found(loaded: Loaded) -> Mapping[str, str]:
    """The models that upstreams list, as they are kept among the files of the configuration."""
    discovery = loaded.config.discovery
    names = () if discovery is None else map(models_file, discovery.upstreams)
    return {name: loaded.referenced[name].decode() for name in names if name in loaded.referenced}


def _served(item: Resource, *, has_our_pepper: bool) -> ResourceVersion:
    version = _version_elsewhere(item) if has_our_pepper else item.version
    return ResourceVersion(version, tuple(sorted(item.groups)))


def _version_elsewhere(item: Resource) -> str:
    """Who compiles a configuration elsewhere has no pepper of this state directory: it is not compared."""
    if item.type_url != AUTHZ_POLICY_TYPE:
        return item.version
    policy = policy_pb.AuthzPolicy.FromString(item.body)
    policy.api_keys.ClearField("pepper")
    return resource(item.type_url, item.name, policy.SerializeToString(deterministic=True)).version


class _Words:
    """The keys of elements as texts; secrets are hashed with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, element: BaseModel) -> dict[str, str]:
        """The keys of an element that differ from their defaults, its name apart."""
        data = element.model_dump(exclude_defaults=True)
        data.pop("name", None)
        data.update(_rules(element, data))
        if len(data.get("endpoints", ())) == 1:  # `url` is how one endpoint is written
            data["url"] = data.pop("endpoints")[0]
        return dict(self._of_mapping("", data))

    def of_route(self, route: Route) -> dict[str, str]:
        keys = self.of(route)
        if route.streaming and "body_limit" in route.model_fields_set:  # bounds gRPC streams where it is written
            keys.setdefault("body_limit", "default")
        return keys

    def secret(self, content: bytes) -> str:
        return SECRET + hashlib.blake2b(content, digest_size=16, key=self._key).hexdigest()

    # Any: values of the model of every shape
    def _keys(self, path: str, value: Any) -> Keys:
        last = path.rpartition(".")[2]
        if isinstance(value, dict) and value and last not in JSON_KEYS:
            yield from self._of_mapping(path, value)
        elif isinstance(value, tuple | list):
            yield from self._of_list(path, list(value), ordered=last in ORDERED)
        else:
            yield path, self._text(value)

    def _of_mapping(self, path: str, value: Mapping[str, Any]) -> Keys:
        if value.keys() == {"exact"}:  # the same as the text alone
            yield path, self._text(value["exact"])
            return
        for key, inner in value.items():
            yield from self._keys(f"{path}.{key}" if path else key, inner)

    def _of_list(self, path: str, items: list[Any], *, ordered: bool) -> Keys:
        if path == "upstream" and len(items) == 1 and "model" not in items[0]:  # the same as the name alone
            yield path, self._text(items[0]["name"])
        elif path == "upstream":
            yield from ((f"{path}.{item['name']}", _share(item)) for item in items)
        elif path in RULES:
            yield path, _listed(sorted(map(RULES[path], items)))
        else:
            texts = [self._text(item) for item in items]
            yield path, _listed(texts if ordered else sorted(texts))

    def _text(self, value: Any) -> str:
        if isinstance(value, SecretStr):
            return self.secret(value.get_secret_value().encode())
        if isinstance(value, bool | dict):
            return json.dumps(value, sort_keys=True, ensure_ascii=False)
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _share(target: Mapping[str, Any]) -> str:
    """What one of several upstreams gets, and by which name it knows a model."""
    named = f" as {target['model']}" if "model" in target else ""
    return f"weight {target.get('weight', 1)}{named}"


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(texts)}]"


def _rules(element: BaseModel, data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Lists of rules, of which each says what it counts apart: who has them decides the default."""
    for key in RULES:
        if isinstance(data.get(key), tuple):
            rules = getattr(element, key)
            yield key, [{**rule.model_dump(exclude_defaults=True), "per": rule.per} for rule in rules]


def _limit(item: Mapping[str, Any]) -> str:
    scope = f" of each {item['scope']}" if "scope" in item else ""
    number = item["requests"] if "requests" in item else " ".join(f"{item[key]} {key}" for key in UNITS if key in item)
    return f"{number}{_how(item)}{scope}"


def _quota(item: Mapping[str, Any]) -> str:
    return f"{item['amount']} {item['usage']}{_how(item)}"


def _how(item: Mapping[str, Any]) -> str:
    """A list of one dimension is that dimension."""
    per = item["per"]
    counted = per if isinstance(per, str) else ", ".join(sorted(per))
    mode = f" {item['mode']}ed" if "mode" in item else ""
    failing = f" or {item['on_store_failure']}" if "on_store_failure" in item else ""
    return f" per {counted}{mode}{failing}"


# Lists of rules, whose order means nothing.
RULES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {"limits": _limit, "quotas": _quota}


def _key_set(issuer: JwtIssuer, referenced: Mapping[str, bytes], words: _Words) -> dict[str, str]:
    """The content of a file of keys, whose name may stay as it is."""
    if not isinstance(issuer.keys, FileKeys) or issuer.keys.file not in referenced:
        return {}
    return {"keys.content": words.secret(referenced[issuer.keys.file])}


def _plan(named: str | None, config: Config) -> tuple[str, ...]:
    """The plan of a caller, and where it comes from."""
    if named is not None:
        return (f"plans.{named}",)
    default = config.defaults.plan
    return ("defaults.plan",) if default is None else ("defaults.plan", f"plans.{default}")


def _uses_of_a_token(token: BearerToken, config: Config) -> tuple[str, ...]:
    """A declared consumer's plan comes first."""
    declared = {consumer.name: consumer.plan for consumer in config.consumers}
    plan = _plan(declared.get(token.consumer or "") or token.plan, config)
    return plan if token.consumer is None else (*plan, f"consumers.{token.consumer}")


def _tenant(caller: Consumer | BearerToken) -> tuple[str, ...]:
    return () if caller.tenant is None else (caller.tenant,)


def _uses_of_a_route(route: Route, config: Config) -> Iterator[str]:
    yield from (f"upstreams.{name}" for name in sorted(set(route.upstreams)))
    if route.mirror is not None:
        yield f"upstreams.{route.mirror.upstream}"
    if route.auth is None:
        yield "defaults.auth"
    accepted = (route.auth if route.auth is not None else config.defaults.auth) or "none"
    if accepted == "none":
        return
    if "jwt" in accepted:
        yield "identity.jwt"
    if "bearer" in accepted:
        yield "identity.bearer_tokens"
    if "api_key" in accepted:
        yield "identity.api_keys"
    if route.upstreams and not route.exempt:  # what the gateway answers itself is not counted
        yield from ("plans", "defaults.plan", "tenants")


def _where(route: Route) -> tuple[str, ...]:
    """The requests it takes, as hosts and paths; an expression of paths stands after a tilde."""
    path = route.match.path or f"~{route.match.path_regex}"
    return tuple(f"{host}{path}" for host in sorted(route.match.hosts)) or (path,)
