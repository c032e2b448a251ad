"""What a file is, told by its own bytes: the few types that pass, and how large each may be.

Names and announced types are claims of whoever sent it. What is not surely one of `TYPES` is refused: programs, archives,
pages (HTML, SVG) and documents with macros among it.
"""

import codecs
import mmap
import re
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from flows.dialog.events import MediaKind

NAME_CHARS_MAX: Final = 120
HEAD_BYTES: Final = 4096
CHUNK_BYTES: Final = 1 << 20

MB: Final = 1_000_000
HEARD_MAX: Final[Mapping[MediaKind, int]] = {
    "image": 16 * MB,
    "audio": 32 * MB,
    "voice": 32 * MB,
    "video": 105 * MB,
    "document": 105 * MB,
    "sticker": 2 * MB,
}
"""Most bytes that we take from a person. Meta passes on up to 100 MB, whatever it is; the smaller ones are our choice."""


class FileTypeError(Exception):
    """It does not pass. `why` is a word of a closed vocabulary."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class FileType:
    mime: str
    extensions: tuple[str, ...]
    """With the dot; the first one is given to a name that has none of them."""
    kinds: frozenset[MediaKind]
    """As what a person may send it."""
    said_max: int
    """Most bytes that Meta takes of it from a business."""


def _type(mime: str, extensions: str, kinds: str, said_max: int) -> FileType:
    names = f"{kinds} document".split()
    heard = frozenset(kind for kind in HEARD_MAX if kind in names)
    return FileType(mime, tuple(extensions.split()), heard, said_max)


STICKER_MAX: Final = 500_000  # of one that moves; Meta wants 100 KB of one that stands still
_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
# Source of the sizes: Cloud API, "Supported media types" (v26.0).
TYPES: Final[Mapping[str, FileType]] = {
    each.mime: each
    for each in (
        _type("image/jpeg", ".jpg .jpeg", "image", 5 * MB),
        _type("image/png", ".png", "image", 5 * MB),
        _type("image/webp", ".webp", "image sticker", STICKER_MAX),
        _type("audio/aac", ".aac", "audio voice", 16 * MB),
        _type("audio/amr", ".amr", "audio voice", 16 * MB),
        _type("audio/mpeg", ".mp3", "audio voice", 16 * MB),
        _type("audio/mp4", ".m4a .mp4", "audio voice", 16 * MB),
        _type("audio/ogg", ".ogg .oga .opus", "audio voice", 16 * MB),
        _type("video/mp4", ".mp4", "video", 16 * MB),
        _type("video/3gpp", ".3gp", "video", 16 * MB),
        _type("application/pdf", ".pdf", "", 100 * MB),
        _type("text/plain", ".txt", "", 100 * MB),
        _type("application/msword", ".doc", "", 100 * MB),
        _type("application/vnd.ms-excel", ".xls", "", 100 * MB),
        _type("application/vnd.ms-powerpoint", ".ppt", "", 100 * MB),
        _type(f"{_OFFICE}.wordprocessingml.document", ".docx", "", 100 * MB),
        _type(f"{_OFFICE}.spreadsheetml.sheet", ".xlsx", "", 100 * MB),
        _type(f"{_OFFICE}.presentationml.presentation", ".pptx", "", 100 * MB),
    )
}


def check_heard(path: Path, kind: MediaKind) -> FileType:
    """The type of a file that a person sent as `kind`. Reads the file: call it in a thread.

    Raises:
        FileTypeError: `unknown_type`, or `wrong_kind` (a program named .jpg is the former, a PDF sent as a photo the latter).
    """
    found = _of_kind(tell(path), kind)
    if kind not in found.kinds:
        raise FileTypeError("wrong_kind")
    return found


def check_said(mime: str, size: int) -> None:
    """Whether Meta would take a stored file.

    Raises:
        FileTypeError: `too_large`.
    """
    if size > TYPES[mime].said_max:
        raise FileTypeError("too_large")


def safe_name(name: str, mime: str) -> str:
    """A file's name that is nothing but a name, with an extension of its type; empty if nothing is left of it."""
    # Cf holds the signs that turn text around: "gpj.exe" would read as "exe.jpg".
    plain = "".join(" " if _unprintable(sign) else sign for sign in re.split(r"[/\\]", name)[-1])
    plain = re.sub(r'[\s"*:<>?|]+', " ", plain).strip()
    extensions = TYPES[mime].extensions
    own = next((each for each in extensions if plain.lower().endswith(each)), "")
    stem = plain[: len(plain) - len(own)].strip(" .")
    extension = plain[len(plain) - len(own) :] if own else extensions[0]
    return f"{stem[: NAME_CHARS_MAX - len(extension)]}{extension}" if stem else ""


def tell(path: Path) -> FileType:
    """What the file is.

    Raises:
        FileTypeError: `unknown_type`.
    """
    with path.open("rb") as file:
        mime = _mime(file.read(HEAD_BYTES), file)
    if mime is None:
        raise FileTypeError("unknown_type")
    return TYPES[mime]


def _of_kind(found: FileType, kind: MediaKind) -> FileType:
    # Telephones record sound in the same container as video, and do not always say so in its brand.
    if kind in ("audio", "voice") and found.mime.startswith("video/"):
        return TYPES["audio/mp4"]
    return found


def _unprintable(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


# ------------------------------------------------------------------ signatures

_STARTS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"%PDF-", "application/pdf"),
    (b"#!AMR", "audio/amr"),
    (b"ID3", "audio/mpeg"),
)
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS: Final = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
)
_3GP: Final = (b"3gp", b"3g2", b"3ge", b"3gg")
_OGG_SOUNDS: Final = (b"OpusHead", b"\x01vorbis", b"Speex   ")


def _mime(head: bytes, file: BinaryIO) -> str | None:
    for start, mime in _STARTS:
        if head.startswith(start):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:4] == b"OggS":
        # The first page of a stream names its codec; video comes in the same container.
        return "audio/ogg" if any(sound in head[:128] for sound in _OGG_SOUNDS) else None
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[:2] == b"PK":
        return _office(file)
    if head[:8] == _OLE:
        return _old_office(file)
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return _mpeg_frame(head[1])
    return "text/plain" if _is_text(head, file) else None


def _iso_media(head: bytes) -> str | None:
    """MP4 and its relatives, by their brand (ISO/IEC 14496-12)."""
    brand = head[8:12]
    if brand in (b"M4A ", b"M4B "):
        return "audio/mp4"
    if brand.startswith(_3GP):
        return "video/3gpp"
    length = min(int.from_bytes(head[:4]), len(head))
    brands = {brand, *(head[at : at + 4] for at in range(16, length, 4))}
    return "video/mp4" if brands & {b"isom", b"iso2", b"mp41", b"mp42", b"avc1"} else None


def _mpeg_frame(second: int) -> str | None:
    """The second byte of a frame: version in bits 4-3, layer in bits 2-1 (ISO/IEC 11172-3, 13818-7)."""
    if second & 0xF6 == 0xF0:
        return "audio/aac"
    version, layer = second >> 3 & 3, second >> 1 & 3
    return "audio/mpeg" if version != 1 and layer == 1 else None


def _office(file: BinaryIO) -> str | None:
    """Which office document a ZIP archive is, by the names in its directory; None for any other archive."""
    names = _zip_names(file)
    if b"[Content_Types].xml" not in names or any(
        name.endswith(b"vbaProject.bin") for name in names
    ):
        return None
    found = {
        mime
        for part, mime in (
            (b"word/", f"{_OFFICE}.wordprocessingml.document"),
            (b"xl/", f"{_OFFICE}.spreadsheetml.sheet"),
            (b"ppt/", f"{_OFFICE}.presentationml.presentation"),
        )
        if any(name.startswith(part) for name in names)
    }
    return found.pop() if len(found) == 1 else None


_ZIP_END: Final = struct.Struct("<4s4H2LH")
_ZIP_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_ZIP_DIRECTORY_MAX: Final = MB  # some 10,000 parts; an archive that boasts of millions is not read


def _zip_names(file: BinaryIO) -> frozenset[bytes]:
    """The names in an archive's directory, without unpacking or trusting anything; empty if it cannot be read."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_536 - _ZIP_END.size))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _ZIP_END.size:
        return frozenset()
    length, start = _ZIP_END.unpack_from(tail, at)[5:7]
    if length > _ZIP_DIRECTORY_MAX or start + length > size:
        return frozenset()
    file.seek(start)
    directory = file.read(length)
    names, at = set(), 0
    while at + _ZIP_ENTRY.size <= len(directory):
        entry = _ZIP_ENTRY.unpack_from(directory, at)
        if entry[0] != b"PK\x01\x02":
            return frozenset()
        at += _ZIP_ENTRY.size
        names.add(directory[at : at + entry[10]])
        at += sum(entry[10:13])
    return frozenset(names)


def _old_office(file: BinaryIO) -> str | None:
    """Which document of Office 97-2003 it is, by the streams that it names; installers use the same container."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find("VBA".encode("utf-16-le") + b"\0\0") >= 0:
            return None  # macros
        for stream, mime in _OLE_STREAMS:
            # In the directory a name is padded with zeros, and has its length after 64 bytes ([MS-CFB] 2.6.1).
            name = stream.encode("utf-16-le")
            entry = name.ljust(64, b"\0") + struct.pack("<H", len(name) + 2)
            if data.find(entry) >= 0:
                return mime
    return None


_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<|#!)")
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\x1b")) + b"\x7f"


def _is_text(head: bytes, file: BinaryIO) -> bool:
    """Words in UTF-8 or Windows-1252, and no page or script."""
    if not head or _MARKUP.match(head):
        return False
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8 = True
    while chunk := file.read(CHUNK_BYTES):
        if chunk.translate(None, _CONTROLS) != chunk:
            return False
        if is_utf8:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                is_utf8 = False
        if not is_utf8 and chunk.translate(None, b"\x81\x8d\x8f\x90\x9d") != chunk:
            return False
    return True
