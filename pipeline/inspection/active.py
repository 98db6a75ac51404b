"""Markup and script that a browser would run, wherever the bytes stand that hold it."""

import re
from typing import Final

OVERLAP: Final = 600  # more than the longest match, so that nothing hides on a border between chunks
_EVENTS: Final = (
    rb"(?:abort|after|animation|auxclick|before|begin|blur|cancel|canplay|change|click|close|contextmenu|copy|cut|"
    rb"dblclick|drag|drop|end|error|finish|focus|hashchange|input|invalid|key|load|message|mouse|online|offline|page|"
    rb"paste|pointer|popstate|repeat|reset|resize|scroll|search|select|show|start|storage|submit|toggle|touch|"
    rb"transition|unload|wheel)[a-z]*"
)
_IN_TEXT: Final = re.compile(
    rb"<(?:script|html|svg|iframe|object|embed|applet)[\s>/]"
    rb"|<!doctype\s+html"
    rb"|<\?(?:php|=)"
    rb"|<[a-z!][^<>]{0,500}?[\s/\"']on" + _EVENTS + rb"\s*=",
)
_WORDS: Final = (b"javascript:", b"vbscript:", b"data:text/html")
_IN_PICTURE: Final = re.compile(rb"<(?:script|iframe)[\s>]|<\?php\s|<!doctype\s+html|<html[\s>]", re.IGNORECASE)


def in_text(text: bytes) -> bool:
    """Whether a browser that took these bytes (in an ASCII-compatible charset) for a page would run something."""
    text = text.lower()
    return bool(_IN_TEXT.search(text)) or any(word in text for word in _WORDS)


def in_picture(part: bytes) -> bool:
    """The same for bytes that are mostly noise, where short patterns come up by chance."""
    return bool(_IN_PICTURE.search(part))
