"""Names of language models, patterns of them, and names of parameters."""

import re
from typing import Annotated

from control_plane.config.values.base import Mistake, scalar

# As servers and hubs name them: `llama3.1:8b-instruct-q4_K_M`, `org/model@v2`.
MODEL_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._:/@+-]{0,126}[A-Za-z0-9_])?$"
WILD_PATTERN = r"^([A-Za-z0-9._:/@+-]{0,127}\*|\*[A-Za-z0-9._:/@+-]{1,127}|[A-Za-z0-9._:/@+-]{1,128})$"
PARAMETER_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,62}$"


def model_name(text: str) -> str:
    """What a model is called."""
    if not re.fullmatch(MODEL_PATTERN, text):
        cure = "use up to 128 letters, digits and . _ : / @ + -, the first and last one a letter or digit"
        raise Mistake("is no name of a model", cure, value=text)
    return text


def model_pattern(text: str) -> str:
    """A model's name, or the beginning or the end of some, with `*` for the rest."""
    if "*" not in text:
        return model_name(text)
    if not re.fullmatch(WILD_PATTERN, text):
        raise Mistake(
            "is no pattern of models", "write one `*`, first or last: `llama3.1:*`, `*-embed`, `*`", value=text
        )
    return text


def parameter(text: str) -> str:
    """A parameter at the top of a request's body."""
    if not re.fullmatch(PARAMETER_PATTERN, text):
        raise Mistake("is no parameter", "write it as it stands in bodies, such as logit_bias", value=text)
    return text


ModelName = Annotated[str, scalar(model_name, pattern=MODEL_PATTERN, description="a name of a model")]
ModelPattern = Annotated[
    str, scalar(model_pattern, pattern=WILD_PATTERN, description="a name of a model, or a pattern such as llama3.1:*")
]
Parameter = Annotated[str, scalar(parameter, pattern=PARAMETER_PATTERN, description="a name of a parameter")]


def matches(pattern: str, name: str) -> bool:
    """Whether the pattern takes the name."""
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == name
    return name.startswith(before) and name.endswith(after)


def patterns_of(name: str) -> tuple[str, ...]:
    """The name itself and every pattern that takes it, sorted."""
    beginnings = (f"{name[:length]}*" for length in range(len(name) + 1))
    ends = (f"*{name[start:]}" for start in range(len(name)))
    return tuple(sorted({name, *beginnings, *ends}))
