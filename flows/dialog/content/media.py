"""Files: pictures, videos, sound, documents, stickers; and what may stand above a question.

Source: Cloud API, "Image messages" and its neighbours, "Media" (v26.0). Sizes and formats are judged where a file is kept.
"""

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from flows.dialog.content.checks import ContentError, fits, is_link
from flows.values.ids import FileId

CAPTION_MAX: Final = 1024
FILE_NAME_MAX: Final = 240  # ours: Meta names none; file systems stop at 255 bytes
HEADER_MAX: Final = 60


class OurFile(Struct, frozen=True, tag="ours"):
    """A file that we keep: it is uploaded to Meta before it is sent."""

    id: FileId


class WebFile(Struct, frozen=True, tag="web"):
    """A file that Meta fetches itself, and keeps for ten minutes by its address."""

    url: str


File = OurFile | WebFile


class Image(Struct, frozen=True, tag="image", omit_defaults=True):
    """A JPEG or PNG."""

    file: File
    caption: str = ""

    def __post_init__(self) -> None:
        check_medium("", self)


class Video(Struct, frozen=True, tag="video", omit_defaults=True):
    """An MP4 or 3GP."""

    file: File
    caption: str = ""

    def __post_init__(self) -> None:
        check_medium("", self)


class Audio(Struct, frozen=True, tag="audio", omit_defaults=True):
    """A sound."""

    file: File
    voice: bool = False
    """Whether it is shown as a voice note; it has to be Ogg with Opus then."""

    def __post_init__(self) -> None:
        check_file("file", self.file)


class Document(Struct, frozen=True, tag="document", omit_defaults=True):
    """Any file to be kept. The ending of its name tells the person's phone what it is."""

    file: File
    name: str
    caption: str = ""

    def __post_init__(self) -> None:
        check_medium("", self)


class Sticker(Struct, frozen=True, tag="sticker"):
    """A WebP of 512 by 512."""

    file: File

    def __post_init__(self) -> None:
        check_file("file", self.file)


Medium = Image | Video | Document
"""What can carry words below it, or stand above a question."""

Header = Medium | str
"""What stands above a body: a medium without a caption, or words; empty for nothing."""


def check_file(at: str, file: File) -> None:
    if isinstance(file, WebFile):
        is_link(f"{at}.url", file.url)
    else:
        fits(f"{at}.id", file.id, 64)


def check_medium(at: str, medium: Medium) -> None:
    check_file(f"{at}file", medium.file)
    fits(f"{at}caption", medium.caption, CAPTION_MAX, empty=True)
    if isinstance(medium, Document):
        fits(f"{at}name", medium.name, FILE_NAME_MAX)
        if set(medium.name) & set("/\\\n\r\t"):
            raise ContentError(f"{at}name", "is no name of a file")


def check_header(
    at: str, header: Header, kinds: Collection[type[Medium]] = (Image, Video, Document)
) -> None:
    """Whether it may stand above a body; `kinds` are the media that this body takes."""
    if isinstance(header, str):
        fits(at, header, HEADER_MAX, empty=True)
        return
    if type(header) not in kinds:
        takes = " or ".join(kind.__name__.lower() for kind in kinds) or "words alone"
        raise ContentError(at, f"takes {takes}, not {type(header).__name__.lower()}")
    if header.caption:
        raise ContentError(f"{at}.caption", "has no place in a header: the body says it")
    check_medium(f"{at}.", header)
