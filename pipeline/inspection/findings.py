"""The closed list of what can be found in a file. What each means for the file is the policy's to say.

No parser is imported here: the worker reads this list too.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """What a finding says of the file, and what its sender can do about it."""

    words: str
    advice: str


ENCRYPTED: Final = "encrypted"
MACRO: Final = "macro"
LAUNCH_ACTION: Final = "launch_action"
JAVASCRIPT: Final = "javascript"
EXTERNAL_LINK: Final = "external_link"
ATTACHMENT: Final = "attachment"
EXECUTABLE: Final = "executable"
EMBEDDED_OLE: Final = "embedded_ole"
RICH_MEDIA: Final = "rich_media"
XFA: Final = "xfa"
DAMAGED: Final = "damaged"
POLYGLOT: Final = "polyglot"
UNPACKED_TOO_LARGE: Final = "unpacked_too_large"
TOO_MANY_MEMBERS: Final = "too_many_members"
NESTED_TOO_DEEP: Final = "nested_too_deep"
COMPRESSION_NOT_READABLE: Final = "compression_not_readable"
MEMBER_NOT_ALLOWED: Final = "member_not_allowed"
ACTIVE_MARKUP: Final = "active_markup"
NOT_TEXT: Final = "not_text"
PIXEL_FLOOD: Final = "pixel_flood"
TYPE_NOT_ALLOWED: Final = "type_not_allowed"
TYPE_MISMATCH: Final = "type_mismatch"
EMPTY: Final = "empty"

_ANEW = "Open it in the program that made it, save it anew and upload that."

KINDS: Final[dict[str, Kind]] = {
    EMPTY: Kind("It is empty.", "Choose the right file and upload it again."),
    TYPE_NOT_ALLOWED: Kind(
        "Files of this kind are not taken.",
        "Send a PDF, Office or OpenDocument file, picture, text or CSV.",
    ),
    TYPE_MISMATCH: Kind(
        "Its content is not what its name or declared type says.",
        "Save it in the right format and upload it again.",
    ),
    ENCRYPTED: Kind("It is protected by a password.", "Remove the password and upload it again."),
    MACRO: Kind(
        "It contains macros, or fields or links that start programs.",
        "Save it without macros (as docx, xlsx or pptx) and without links to other programs, and upload that.",
    ),
    LAUNCH_ACTION: Kind(
        "It asks the reader to start a program.",
        "Print it to a new PDF and upload that.",
    ),
    JAVASCRIPT: Kind("It contains JavaScript.", "Print it to a new PDF and upload that."),
    EXTERNAL_LINK: Kind(
        "It refers to something outside itself, beyond ordinary web links.",
        "Embed or remove what it refers to and upload it again.",
    ),
    ATTACHMENT: Kind("Other files are attached to it.", "Upload the attached files by themselves."),
    EXECUTABLE: Kind("It is or contains a program or script.", "Remove the program and upload it again."),
    EMBEDDED_OLE: Kind(
        "It contains embedded objects or controls of another program.",
        "Replace the embedded objects by pictures or values and upload it again.",
    ),
    RICH_MEDIA: Kind("It contains film, sound or 3D models.", "Remove them and upload it again."),
    XFA: Kind("It contains an XFA form.", "Print it to a new PDF and upload that."),
    DAMAGED: Kind("It is damaged or cannot be read to its end.", _ANEW),
    POLYGLOT: Kind("It contains bytes that do not belong to its format.", _ANEW),
    UNPACKED_TOO_LARGE: Kind("It unpacks to more than can be examined.", "Split it, or make its content smaller."),
    TOO_MANY_MEMBERS: Kind("It contains too many parts.", "Split it, or make it simpler."),
    NESTED_TOO_DEEP: Kind("Files are packed in it too deeply.", "Upload the inner files by themselves."),
    COMPRESSION_NOT_READABLE: Kind("It is packed by a method that cannot be examined.", _ANEW),
    MEMBER_NOT_ALLOWED: Kind(
        "It contains a part of a kind that is not taken.",
        "Remove what is embedded in it and upload it again.",
    ),
    ACTIVE_MARKUP: Kind(
        "It contains markup or script that a browser would run.",
        "Remove the markup, or print the page to a PDF and upload that.",
    ),
    NOT_TEXT: Kind("It is not readable text.", "Save it as plain text in UTF-8 and upload it again."),
    PIXEL_FLOOD: Kind("The picture is too large once unpacked.", "Save it with fewer pixels and upload it again."),
}
