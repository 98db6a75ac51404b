"""How much is looked at, and why not more. What is over a limit is a finding, never skipped.

Every limit on unpacking is checked against what the file declares before anything is unpacked, and
again against what comes out (OWASP ASVS 5.2.3).
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# What is held in memory: the child that looks has 384 MiB beyond the programs themselves.
HEAD: Final = 8 * KIB  # libmagic tells as much from 8 KiB as from the whole file
CHUNK: Final = 256 * KIB  # what is read and unpacked at a time
NESTED_BYTES: Final = 64 * MIB  # a file inside another, held to be looked at; two may be, one in the other
ATTACHMENT_BYTES: Final = 128 * MIB  # the packed bytes of a PDF's attachment, which pikepdf gives in one piece
XML_BYTES: Final = 16 * MIB  # relationships, content types, manifests: read as trees. 65,000 links take 13 MiB
STREAM_BYTES: Final = 64 * MIB  # the main stream of a doc, xls or ppt: it is read whole, and once more by msoffcrypto

# Packages (OOXML, ODF).
MEMBERS: Final = 10_000  # clamd's own MaxFiles: what it would not reach is not taken
UNPACKED: Final = 4 * 1000 * MIB  # four times the largest upload, as clamd's MaxScanSize in deploy/clamd.conf
RATIO: Final = 200  # of a member's unpacked to its packed size; deflate reaches 1032, real sheets about 50
RATIO_FROM: Final = 10 * MIB  # blank pictures and empty sheets pack better than that, and are small
DEPTH: Final = 2  # a chart's workbook in a presentation in a report
OPAQUE_BYTES: Final = 4 * MIB  # members of no public format, such as printer settings

# PDF.
PDF_OBJECTS: Final = 500_000  # about 250,000 pages; each costs the reader memory
FRONT: Final = 64  # byte order mark and white space before %PDF-
PADDING: Final = 64 * KIB  # line ends and zeros after the end of a file: cameras and old systems fill blocks

# Pictures. Phones make 12 to 50 megapixels, an A3 scan at 600 dpi is 70.
PIXELS: Final = 100_000_000  # of one picture
PIXEL_BYTES: Final = 320 * MIB  # of one picture once unpacked, with what its codec needs beside it
ALL_PIXELS: Final = 4_000_000_000  # of all pages: 460 at 300 dpi, about ten seconds of unpacking
FRAMES: Final = 2_000

# OLE2.
OLE_ENTRIES: Final = 10_000  # streams and storages; a workbook with hundreds of objects has some thousand
