"""Every `reason_code`, with the words that a person reads: what is wrong, and what to do next.

A closed list: nothing else is stored. What was found by looking has its words from `inspection.findings`.
"""

from typing import Final

from pipeline.inspection import findings

EXPIRED_UNSENT: Final = "never_sent"
HASH_MISMATCH: Final = "hash_mismatch"
SIZE_MISMATCH: Final = "size_mismatch"
TOO_LARGE: Final = "too_large"
INFECTED: Final = "infected"
ENCRYPTED: Final = "encrypted"
MACRO: Final = "macro"
MALFORMED: Final = "malformed"
UNSCANNABLE: Final = "unscannable"

# Most findings are reasons by their own name; these have older or wider ones.
OF_FINDING: Final[dict[str, str]] = {kind: kind for kind in findings.KINDS} | {
    findings.DAMAGED: MALFORMED,
    findings.UNPACKED_TOO_LARGE: UNSCANNABLE,
    findings.TOO_MANY_MEMBERS: UNSCANNABLE,
    findings.NESTED_TOO_DEEP: UNSCANNABLE,
    findings.COMPRESSION_NOT_READABLE: UNSCANNABLE,
    findings.PIXEL_FLOOD: UNSCANNABLE,
}


def _words(kind: findings.Kind) -> str:
    """As a sentence about the file, and what to do."""
    said = kind.words
    for start, instead in (("It ", "The file "), ("Its ", "The file's ")):
        said = instead + said.removeprefix(start) if said.startswith(start) else said
    return f"{said} {kind.advice}"


WORDS: Final[dict[str, str]] = {
    **{code: _words(findings.KINDS[kind]) for kind, code in OF_FINDING.items() if code == kind},
    EXPIRED_UNSENT: "No file arrived before the upload's time was over. Start a new upload.",
    HASH_MISMATCH: "The file that arrived is not the one announced. Upload it again.",
    SIZE_MISMATCH: "The file that arrived has another size than announced. Upload it again.",
    TOO_LARGE: "The file is larger than files for this type of document may be. Make it smaller and upload it again.",
    INFECTED: "Malware was found in the file. Check your computer and send a clean copy.",
    MALFORMED: _words(findings.KINDS[findings.DAMAGED]),
    UNSCANNABLE: "The file cannot be examined to its end. Save it more simply, or split it, and upload it again.",
}
