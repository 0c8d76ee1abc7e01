"""Who answers a request, and what becomes of its path and headers on the way."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from control_plane.config.model.base import Model, Unique
from control_plane.config.values.base import Mistake
from control_plane.config.values.json import Json
from control_plane.config.values.network import Host
from control_plane.config.values.paths import ReplacementPath, Substitution
from control_plane.config.values.quantities import Between, Percent, Port, Weight
from control_plane.config.values.text import HeaderName, HeaderValue, Name, Regex, Text

# Envoy's own bound for a direct response.
LARGEST_BODY = 4096
# RFC 9110, 15.3.5 and 15.4.5: these end with their headers.
WITHOUT_BODY = (204, 205, 304)


class WeightedUpstream(Model):
    """One of the upstreams that share a route's requests."""

    name: Name = Field(description="name of the upstream")
    weight: Weight = Field(description="its share, relative to the sum of all weights")


class RegexRewrite(Model):
    """Replaces what matches in the path. The result is sent as it is: nothing normalizes it again."""

    pattern: Regex = Field(description="a regular expression (RE2); every match in the path is replaced")
    substitution: Substitution = Field(description="what stands there instead; `\\1` is the first group")


class Mirror(Model):
    """Copies of requests for another upstream; its answers are dropped."""

    upstream: Name = Field(description="name of the upstream that gets the copies")
    percent: Percent = Field(100.0, description="share of requests that are copied")


class Redirect(Model):
    """Answers with another address."""

    path: ReplacementPath | None = Field(None, description="replaces the matched path or prefix, like `rewrite`")
    scheme: Literal["http", "https"] | None = Field(None, description="the client's where not said")
    host: Host | None = Field(None, description="the client's where not said")
    port: Port | None = Field(None, description="the client's where not said; where `host` is said, the scheme's own")
    status: Literal[301, 302, 303, 307, 308] = Field(
        308, description="308 keeps the method, 301 is what old clients know"
    )
    strip_query: bool = Field(default=False, description="whether the query is dropped")

    @model_validator(mode="after")
    def _elsewhere(self) -> Self:
        if (self.path, self.scheme, self.host, self.port) == (None, None, None, None):
            raise Mistake("the redirect leads to where the client is", "write a path, scheme, host or port")
        if self.host is not None and self.host.startswith("*."):
            raise Mistake("has `*`, which names no single host", "write one host", value=self.host, at=("host",))
        return self


class BodyChanges(Model):
    """Changes of a JSON object; any other body is refused with 400."""

    merge: dict[Text, Json] = Field(description="keys that get this value, whatever they had", min_length=1)


def _short(text: str) -> str:
    if len(text.encode()) > LARGEST_BODY:
        raise Mistake(f"the body is larger than {LARGEST_BODY} bytes", "let an upstream answer")
    return text


class DirectResponse(Model):
    """Answered by the gateway itself."""

    status: Annotated[int, Between(200, 599)] = Field(200, description="status of the answer")
    body: Annotated[str, AfterValidator(_short)] = Field("", description="body of the answer, at most 4KiB")
    content_type: HeaderValue = Field("text/plain; charset=utf-8", description="its media type")

    @model_validator(mode="after")
    def _body_where_one_may_be(self) -> Self:
        if self.body and self.status in WITHOUT_BODY:
            raise Mistake(f"an answer with status {self.status} has no body", "drop it", at=("body",))
        if not self.body and "content_type" in self.model_fields_set:
            raise Mistake("there is no body that it could be of", "write a `body`, or drop it", at=("content_type",))
        return self


class HeaderChanges(Model):
    """What happens to headers: `remove` first, then `set`, then `add`."""

    set: dict[HeaderName, HeaderValue] = Field({}, description="headers that get this value, whatever they had")
    add: dict[HeaderName, HeaderValue] = Field({}, description="values beside those that are there")
    remove: Annotated[tuple[HeaderName, ...], Unique] = Field((), description="headers that are dropped")
