"""Reads envoyproxy/ratelimit's configuration: as strict as its loader, and stricter where that passes over mistakes.

A key is accepted where it does something; at another level it is a mistake, where it would be ignored there. All
mistakes of all files are reported at once.

Errors: InvalidRules
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from ratelimit_service.swap_in.mistakes import InvalidRules, Mistake, Place, nearest
from ratelimit_service.swap_in.rules import SECONDS, Entry, Level, Limit, Pattern, Rule, Rules, Unit
from ratelimit_service.swap_in.yaml_nodes import Reader, plain

OF_FILE: Final = frozenset({"domain", "descriptors"})
FLAGS: Final = ("shadow_mode", "quota_mode", "detailed_metric", "value_to_metric", "share_threshold")
OF_DESCRIPTOR: Final = frozenset({"key", "value", "rate_limit", "descriptors", "metadata", *FLAGS})
# What says something of the descriptor's own limit alone.
OF_RULE: Final = ("shadow_mode", "quota_mode", "detailed_metric", "metadata")
OF_LIMIT: Final = frozenset({"unit", "requests_per_unit", "unlimited", "name", "replaces"})
OF_REPLACED: Final = frozenset({"name"})
# Where a key that stands at the wrong level belongs.
HOMES: Final = (
    (OF_LIMIT, "move it below `rate_limit`"),
    (OF_DESCRIPTOR, "move it to the descriptor, beside `key`"),
    (OF_FILE, "move it to the left edge of the file"),
)

Entries = Mapping[str, tuple[yaml.Node, yaml.Node]]


@dataclass(frozen=True)
class SourceFile:
    """A file as it was read."""

    name: str
    content: bytes


@dataclass
class _Domain:
    """The lists of descriptors of a domain, of one file or of several."""

    place: Place
    lists: list[tuple[Reader, yaml.Node | None]] = field(default_factory=list)


def load_rules(files: Sequence[SourceFile], *, merge_domains: bool) -> Rules:
    """The rules of these files; several may describe one domain where `merge_domains` says so."""
    mistakes: list[Mistake] = []
    domains: dict[str, _Domain] = {}
    for file in files:
        reader = Reader(file.name, mistakes)
        if (root := reader.root(file.content)) is not None:
            _add_file(reader, root, domains, merge_domains=merge_domains)
    levels = {name: _level(_listed(domain.lists)) for name, domain in domains.items()}
    if mistakes:
        raise InvalidRules(mistakes)
    return Rules(levels)


def _add_file(reader: Reader, root: yaml.MappingNode, domains: dict[str, _Domain], *, merge_domains: bool) -> None:
    entries = _known_entries(reader, root, OF_FILE)
    name = reader.text(_value(entries, "domain"), "domain")
    if not name:
        reader.wrong(_value(entries, "domain") or root, "the domain is empty", "write `domain: NAME`")
        return
    domain = domains.setdefault(name, _Domain(reader.place(_value(entries, "domain"))))
    if domain.lists and not merge_domains:
        message = f"the domain {name!r} is in another file too, at {domain.place}"
        cure = "put its descriptors into one file, or set MERGE_DOMAIN_CONFIG=true"
        reader.wrong(_value(entries, "domain"), message, cure)
        return
    domain.lists.append((reader, _value(entries, "descriptors")))


def _known_entries(reader: Reader, node: yaml.MappingNode, known: frozenset[str]) -> Entries:
    entries = reader.entries(node)
    for key, (at, _) in entries.items():
        if key not in known:
            home = next((cure for keys, cure in HOMES if key in keys), None)
            message = f"`{key}` does nothing here" if home else f"there is no key `{key}`"
            reader.wrong(at, message, home or nearest(key, known))
    return entries


def _value(entries: Entries, key: str) -> yaml.Node | None:
    return entries[key][1] if key in entries else None


def _listed(lists: Iterable[tuple[Reader, yaml.Node | None]]) -> Iterator[tuple[Reader, yaml.MappingNode]]:
    for reader, node in lists:
        for item in reader.sequence(node, "descriptors"):
            yield reader, item


def _level(items: Iterable[tuple[Reader, yaml.MappingNode]]) -> Level:
    """One level of descriptors; of equal ones the first counts, and the second is a mistake."""
    found: dict[tuple[str, str | None], tuple[Entry, Place]] = {}
    for reader, node in items:
        entry = _entry(reader, node)
        if entry is None:
            continue
        name = (entry.key, entry.value)
        if name in found:
            called = entry.key if entry.value is None else f"{entry.key}: {entry.value}"
            message = f"the descriptor `{called}` stands twice, first at {found[name][1]}"
            reader.wrong(node, message, "merge the two")
            continue
        found[name] = entry, reader.place(node)
    return _sorted_out(entry for entry, _ in found.values())


def _sorted_out(entries: Iterable[Entry]) -> Level:
    exact: dict[tuple[str, str], Entry] = {}
    patterns: dict[str, tuple[Pattern, ...]] = {}
    of_key: dict[str, Entry] = {}
    for entry in entries:
        if entry.value is None:
            of_key[entry.key] = entry
            continue
        exact[entry.key, entry.value] = entry
        if "*" in entry.value:
            pattern = Pattern(tuple(entry.value.split("*")), entry)
            patterns[entry.key] = (*patterns.get(entry.key, ()), pattern)
    return Level(exact, patterns, of_key)


def _entry(reader: Reader, node: yaml.MappingNode) -> Entry | None:
    entries = _known_entries(reader, node, OF_DESCRIPTOR)
    key = _descriptor_key(reader, node, _value(entries, "key"))
    value = reader.text(_value(entries, "value"), "value") or None
    flags = {flag: reader.flag(_value(entries, flag), flag) for flag in FLAGS}
    if flags["share_threshold"] and "*" not in (value or ""):
        message = "share_threshold needs a value with a wildcard: only its matches can share a count"
        reader.wrong(entries["share_threshold"][0], message, "write a `*` into the value, or drop share_threshold")
    return Entry(
        key=key,
        value=value,
        rule=_rule(reader, entries, flags),
        share_threshold=flags["share_threshold"],
        value_to_metric=flags["value_to_metric"],
        below=_level((reader, item) for item in reader.sequence(_value(entries, "descriptors"), "descriptors")),
    ) if key else None  # fmt: skip


def _descriptor_key(reader: Reader, node: yaml.MappingNode, at: yaml.Node | None) -> str:
    before = len(reader.mistakes)
    key = reader.text(at, "key")
    if not key and len(reader.mistakes) == before:
        reader.wrong(at or node, "the descriptor has no key", "write `key: NAME`")
    if "*" in key:
        reader.wrong(at, f"the key {key!r} has a wildcard", "write it into the value: keys are compared as they are")
    return key


def _rule(reader: Reader, entries: Entries, flags: Mapping[str, bool]) -> Rule | None:
    metadata = _metadata(reader, _value(entries, "metadata"))
    at = _value(entries, "rate_limit")
    node = None if at is None else reader.mapping(at, "rate_limit")
    if node is None:
        _nothing_without_limit(reader, entries, flags)
        return None
    of_limit = _known_entries(reader, node, OF_LIMIT)
    name = reader.text(_value(of_limit, "name"), "name")
    return Rule(
        limit=_limit(reader, node, of_limit, name),
        replaces=frozenset(_replaced(reader, _value(of_limit, "replaces"), name)),
        shadow=flags["shadow_mode"],
        quota=flags["quota_mode"],
        detailed_metric=flags["detailed_metric"],
        metadata=metadata,
    )


def _nothing_without_limit(reader: Reader, entries: Entries, flags: Mapping[str, bool]) -> None:
    for key in OF_RULE:
        if flags.get(key, key in entries):
            reader.wrong(entries[key][0], f"`{key}` does nothing without `rate_limit`", "move it to where the limit is")


def _limit(reader: Reader, node: yaml.Node, entries: Entries, name: str) -> Limit | None:
    """The limit, None where the rule is unlimited."""
    if reader.flag(_value(entries, "unlimited"), "unlimited"):
        for key in ("unit", "requests_per_unit"):
            if key in entries:
                reader.wrong(entries[key][0], f"an unlimited rule has no `{key}`", f"drop `{key}`, or drop `unlimited`")
        return None
    if "requests_per_unit" not in entries and OF_LIMIT.issuperset(entries):  # else it is misspelled
        cure = "write `requests_per_unit: NUMBER`, where 0 refuses everything; or `unlimited: true`"
        reader.wrong(node, "the limit has no number", cure)
    requests = reader.number(_value(entries, "requests_per_unit"), "requests_per_unit")
    unit = _unit(reader, _value(entries, "unit") or node, reader.text(_value(entries, "unit"), "unit"))
    return None if unit is None else Limit(requests, unit, name)


def _unit(reader: Reader, at: yaml.Node, name: str) -> Unit | None:
    if name.upper() in Unit.__members__:
        return Unit[name.upper()]
    units = ", ".join(unit.name.lower() for unit in SECONDS)
    message = f"{name!r} is no unit" if name else "the limit has no unit"
    reader.wrong(at, message, f"write one of {units}; or `unlimited: true`")
    return None


def _replaced(reader: Reader, node: yaml.Node | None, own: str) -> Iterator[str]:
    for item in reader.sequence(node, "replaces"):
        at = _value(_known_entries(reader, item, OF_REPLACED), "name")
        name = reader.text(at, "name")
        if not name:
            reader.wrong(at or item, "an entry of `replaces` has no name", "write `- name: NAME`, or drop it")
        elif name == own:
            reader.wrong(at, f"the limit {name!r} replaces itself", "name another limit")
        yield name


def _metadata(reader: Reader, node: yaml.Node | None) -> Mapping[str, Any]:  # Any: the operator's own YAML
    mapping = None if node is None else reader.mapping(node, "metadata")
    if mapping is None:
        return {}
    return {str(key.value): plain(value) for key, value in reader.entries(mapping).values()}
