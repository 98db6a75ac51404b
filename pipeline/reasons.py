"""Every `reason_code`, with the words that a person reads. A closed list: nothing else is stored."""

from typing import Final

EXPIRED_UNSENT: Final = "never_sent"
HASH_MISMATCH: Final = "hash_mismatch"
SIZE_MISMATCH: Final = "size_mismatch"
EMPTY: Final = "empty"
TYPE_NOT_ALLOWED: Final = "type_not_allowed"
TYPE_MISMATCH: Final = "type_mismatch"
INFECTED: Final = "infected"
ENCRYPTED: Final = "encrypted"
MACRO: Final = "macro"
MALFORMED: Final = "malformed"
UNSCANNABLE: Final = "unscannable"

WORDS: Final[dict[str, str]] = {
    EXPIRED_UNSENT: "No file arrived before the upload's time was over. Start a new upload.",
    HASH_MISMATCH: "The file that arrived is not the one announced. Upload it again.",
    SIZE_MISMATCH: "The file that arrived has another size than announced. Upload it again.",
    EMPTY: "The file is empty. Choose the right file and upload it again.",
    TYPE_NOT_ALLOWED: (
        "Files of this kind are not taken. Send a PDF, Office or OpenDocument file, picture, text or CSV."
    ),
    TYPE_MISMATCH: (
        "The file's content is not what its name or type says. Save it in the right format and upload it again."
    ),
    INFECTED: "Malware was found in the file. Check your computer and send a clean copy.",
    ENCRYPTED: "The file is protected by a password. Remove the password and upload it again.",
    MACRO: "The file contains macros. Save it without macros and upload it again.",
    MALFORMED: "The file is damaged. Open it, save it anew and upload it again.",
    UNSCANNABLE: "The file cannot be examined fully. Save it more simply and upload it again.",
}
