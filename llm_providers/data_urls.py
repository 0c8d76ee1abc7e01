"""Images as Ollama has them (base64) and as OpenAI has them (data: addresses)."""

import base64
import binascii
import re
from typing import Final

from llm_providers.asked import Untranslatable

# How the files begin; WebP is a RIFF file that says so behind its length.
MAGIC: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)
# Enough base64 for the first twelve bytes.
LOOKED_AT: Final = 16
DATA_URL: Final = re.compile(r"data:(?:image/[a-z0-9.+-]+)?;base64,", re.IGNORECASE)


def data_url(image: str, param: str) -> str:
    """The image's data: address; its type is told from its first bytes."""
    encoded = _checked(image, param)
    beginning = base64.b64decode(encoded[:LOOKED_AT])
    for magic, media_type in MAGIC:
        if magic.match(beginning):
            return f"data:{media_type};base64,{encoded}"
    raise Untranslatable(f"{param} is no PNG, JPEG, GIF or WebP image", param, "invalid_image")


def image_of(address: str, param: str) -> str:
    """The base64 of a data: address; anything else is refused, since a gateway fetches nothing."""
    prefix = DATA_URL.match(address)
    if prefix is None:
        raise Untranslatable(
            f"{param} must be a data: address of an image in base64; images are not fetched", param, "invalid_image"
        )
    return _checked(address[prefix.end() :], param)


def _checked(encoded: str, param: str) -> str:
    try:
        base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Untranslatable(f"{param} is no base64", param, "invalid_image") from None
    if not encoded:
        raise Untranslatable(f"{param} is empty", param, "invalid_image")
    return encoded
