"""The scanner for machines where no clamd can be had: YARA-X with one rule, the EICAR test file.

It finds nothing else. It runs only where SCANNER_BUILTIN_ALLOWED says so, says who it is in every
scan and on the health page, and `check --deploy` refuses it.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version as installed

import yara_x

OVERLAP = 1024  # more than the longest pattern, so that nothing hides on a border between chunks
_RULE = r"""
rule Eicar_Test_File {
    strings:
        $body = "$EICAR-STANDARD-ANTIVIRUS-" ascii
        $tail = "TEST-FILE!$H+H*" ascii
    condition:
        $body and $tail
}
"""


def version() -> str:
    """Return the engine's version."""
    return f"yara-x {installed('yara-x')}"


def scan(chunks: Iterable[bytes]) -> str:
    """Return the name of what was found, or "" for nothing, in constant memory."""
    rest = b""
    found = ""
    for chunk in chunks:
        window = rest + chunk
        if matches := _scanner().scan(window).matching_rules:
            found = found or str(matches[0].identifier)
        rest = window[-OVERLAP:]
    return found


@cache
def _scanner() -> yara_x.Scanner:
    return yara_x.Scanner(yara_x.compile(_RULE))
