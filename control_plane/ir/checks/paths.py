"""Paths: variables that nothing fills, groups that an expression lacks, and upstreams with paths of their own."""

import re
from collections.abc import Iterator

import re2

from control_plane.config import model as config
from control_plane.config.errors import Path, Problem, did_you_mean
from control_plane.config.values import GROUP, VARIABLE
from control_plane.ir.routes import path_match

# RE2 has nine groups in a substitution; one is for what follows a prefix.
MOST_VARIABLES = 8
JOINED = re.compile(r"\\[0-9]\\[0-9]")
DOLLAR = re.compile(r"\$[0-9{]")


def path_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """What keeps a path from being replaced as written."""
    if route.match.path_regex is not None and not _may_begin_a_path(route.match.path_regex):
        message = "no path is like this: each begins with a slash"
        yield Problem((*path, "match", "path_regex"), message, "write it for the whole path, such as /items/[0-9]+")
    if route.rewrite is not None:
        yield from _variable_problems(route, route.rewrite, (*path, "rewrite"))
    if route.redirect is not None and route.redirect.path is not None:
        yield from _variable_problems(route, route.redirect.path, (*path, "redirect", "path"))
    if route.rewrite_regex is not None:
        yield from _regex_problems(route.rewrite_regex, (*path, "rewrite_regex"))
    yield from _base_problems(source, route, path)


def _variable_problems(route: config.Route, target: str, path: Path) -> Iterator[Problem]:
    used = VARIABLE.findall(target)
    if route.match.path is None:
        if used:
            cure = "write `rewrite_regex`" if path[-1] == "rewrite" else "match a `path` with variables"
            yield Problem(path, "an expression has no variables", cure)
        return
    known = path_match(route.match).variables
    for name in used:
        if name not in known:
            cure = did_you_mean(name, known) or f"add it to the match, like /users/{{{name}}}"
            yield Problem(path, f"the match has no variable {name!r}", cure)
    if len(set(used)) > MOST_VARIABLES:
        yield Problem(path, f"it uses more than {MOST_VARIABLES} variables", "match longer literal paths")


def _regex_problems(written: config.RegexRewrite, path: Path) -> Iterator[Problem]:
    groups = re2.compile(written.pattern).groups
    for number in sorted({int(digit) for digit in GROUP.findall(written.substitution)}):
        if number > groups:
            message = f"the pattern has no group {number}, it has {groups}"
            yield Problem((*path, "substitution"), message, "put parentheses around what it should keep")
    if _may_begin_a_path(written.pattern) and not written.substitution.startswith(("/", "\\0")):
        message = "the pattern may take the slash with which a path begins"
        yield Problem((*path, "substitution"), message, "begin the substitution with a slash")
    yield from _dots_problems(written, path)


def _dots_problems(written: config.RegexRewrite, path: Path) -> Iterator[Problem]:
    """A client chooses what stands around what is taken out: two dots that were apart would be `..` to the upstream."""
    if JOINED.search(written.substitution):
        message = "two groups stand side by side, and what was between them is gone"
        yield Problem((*path, "substitution"), message, "keep a character between them")
    elif not written.substitution and not written.pattern.startswith("^"):
        message = "nothing is put where the pattern matched"
        yield Problem((*path, "substitution"), message, "begin the pattern with ^, or substitute a character")
    if DOLLAR.search(written.substitution):
        message = "`$` stands for itself in a substitution"
        yield Problem((*path, "substitution"), message, "write \\1 for the first group")


def _may_begin_a_path(pattern: str) -> bool:
    """Whether the expression can match at the beginning of a path: with its slash, or with nothing."""
    least, most = re2.compile(pattern).possiblematchrange(1)
    return not least or (least[:1] <= b"/" <= most[:1])


def _base_problems(source: config.Config, route: config.Route, path: Path) -> Iterator[Problem]:
    """A path of the upstream's address stands before every request's own; a route has one rewrite for all of them."""
    places: list[tuple[Path, str]] = [
        (("upstream", index, "name") if not isinstance(route.upstream, str) else ("upstream",), name)
        for index, name in enumerate(route.upstreams)
    ]
    if route.mirror is not None:
        places.append((("mirror", "upstream"), route.mirror.upstream))
    bases = [(place, name, source.upstreams[name].addresses[0].path) for place, name in places]
    for place, name, base in bases[1:]:
        if base != bases[0][2]:
            message = (
                f"the address of {name!r} ends in {base or '/'!r}, that of {bases[0][1]!r} in {bases[0][2] or '/'!r}"
            )
            yield Problem((*path, *place), message, "give both upstreams the same path, or make two routes")
    if bases and bases[0][2] and route.rewrite_regex is not None:
        message = f"the address of {bases[0][1]!r} has a path, which an expression cannot keep"
        yield Problem((*path, "rewrite_regex"), message, "drop the path from the upstream's address, and substitute it")
