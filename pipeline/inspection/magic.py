"""libmagic, for everything that is not a container. The system's where there is one, else the wheel's.

`pylibmagic` puts its own (older) library in front of the system's as soon as it is imported, so it is
imported only where the system has none, and before `magic`.
"""

import ctypes.util
from functools import cache

if not ctypes.util.find_library("magic"):
    import pylibmagic  # noqa: F401

import magic


@cache
def _library() -> magic.Magic:
    return magic.Magic(mime=True)


def media_type(head: bytes) -> str:
    """Return the media type of a file that begins with `head` (8 KiB are enough)."""
    return _library().from_buffer(head)
