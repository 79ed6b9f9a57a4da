"""Text for streams that cannot encode every character, such as an ASCII terminal."""

from __future__ import annotations

import sys

_PLAIN = str.maketrans({"µ": "u", "·": "*", "→": "->", "×": "x", "ᵀ": "T", "⌈": "ceil(", "⌉": ")"})


def encodable(text: str, encoding: str) -> str:
    """The text in characters that the encoding has: fastnet's own signs as ASCII, others as question marks."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, errors="replace").decode(encoding)
    return text


def printable(text: str) -> str:
    """The text in characters that standard output has."""
    return encodable(text, getattr(sys.stdout, "encoding", None) or "utf-8")
