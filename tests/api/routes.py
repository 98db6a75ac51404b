"""Every route of the whole site, as the resolver has it, with something in the place of its arguments."""

import re
from collections.abc import Iterator
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver

_ARGUMENTS = {
    r"<uuid:\w+>": str(UUID(int=1)),
    r"<int:\w+>": "1",
    r"<str:doc_type>": "id",
    r"<\w+:\w+>": "1",
    r"\(\?P<\w+>[^)]*\)": "1",  # of a regular expression
}


def routes(of: URLResolver | None = None, before: str = "/") -> Iterator[str]:
    """Each route as it is written, such as /api/documents/<uuid:id>/."""
    for pattern in (of or get_resolver()).url_patterns:
        written = before + str(pattern.pattern).removeprefix("^").removesuffix("$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, written)
        else:
            assert isinstance(pattern, URLPattern)
            yield written


def address(route: str) -> str:
    """The route with its arguments filled in."""
    for argument, value in _ARGUMENTS.items():
        route = re.sub(argument, value, route)
    assert not set("<>()^$?\\*") & set(route), f"{route}: say in this file what to put in"
    return route
