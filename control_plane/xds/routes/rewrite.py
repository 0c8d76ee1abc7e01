"""What becomes of a path: the matched part replaced, with exactly one slash where it meets what follows.

Envoy replaces by an expression, in which RE2 knows nine groups: one for each variable that the replacement uses, and
the last one for what follows a prefix.
"""

from collections.abc import Iterable, Mapping

from envoy.type.matcher.v3 import regex_pb2 as regex_pb

from control_plane.config.values import VARIABLE
from control_plane.ir.model import PathKind, PathMatch, Rewrite
from control_plane.xds.routes.match import path_expression


def path_rewrite(path: PathMatch, rewrite: Rewrite) -> regex_pb.RegexMatchAndSubstitute | None:
    """How the path is replaced; None where it stays."""
    if rewrite.pattern is not None:
        return _replaced(rewrite.pattern, rewrite.path or "")
    if rewrite.path is None:
        return _replaced("^/", _literal(f"{rewrite.base}/")) if rewrite.base else None
    target = rewrite.base + rewrite.path
    used = VARIABLE.findall(target)
    if path.kind is PathKind.REGEX:
        return _replaced("^/.*$", _literal(target))
    groups = _numbered(name for name in path.variables if name in used)
    expression = path_expression(path, captured=groups)
    if path.kind is not PathKind.PREFIX:
        return _replaced(f"^{expression}$", _filled(target, groups))
    rest = "" if target.endswith("/") else f"\\{len(groups) + 1}"
    return _replaced(f"^{expression}(/|$)", _filled(target, groups) + rest)


def _numbered(used: Iterable[str]) -> Mapping[str, int]:
    return {name: number for number, name in enumerate(used, start=1)}


def _replaced(pattern: str, substitution: str) -> regex_pb.RegexMatchAndSubstitute:
    rewrite = regex_pb.RegexMatchAndSubstitute(substitution=substitution)
    rewrite.pattern.regex = pattern
    return rewrite


def _filled(path: str, groups: Mapping[str, int]) -> str:
    """The substitution for a path with variables."""
    return VARIABLE.sub(lambda found: f"\\{groups[found[1]]}", _literal(path))


def _literal(text: str) -> str:
    """The text as a substitution that stands for itself: RE2 reads backslashes there."""
    return text.replace("\\", "\\\\")
