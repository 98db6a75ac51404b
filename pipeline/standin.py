"""The scanner for machines where no clamd can be had: the second engine with one rule, the EICAR test file.

It finds nothing else. It runs only where SCANNER_BUILTIN_ALLOWED says so, says who it is in every
scan and on the health page, and `check --deploy` refuses it.
"""

from functools import cache

from pipeline.rules import Rules, compiled

_RULE = r"""
rule Eicar_Test_File {
    strings:
        $body = "$EICAR-STANDARD-ANTIVIRUS-" ascii
        $tail = "TEST-FILE!$H+H*" ascii
    condition:
        $body and $tail
}
"""


@cache
def rules() -> Rules:
    """Return the one rule."""
    return compiled({"builtin": _RULE})
