"""What a file is, is told by its bytes; what is not surely one of the few types does not pass."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from flows.dialog.events import MediaKind
from handlers.filetypes import MB, FileTypeError, check_heard, check_said, safe_name, tell

REST = bytes(64)
OFFICE = "application/vnd.openxmlformats-officedocument"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def archive(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, "<x/>")
    return data.getvalue()


def ole(*streams: str) -> bytes:
    """A compound file, as far as its directory goes ([MS-CFB] 2.6.1)."""
    entries = b""
    for stream in streams:
        name = stream.encode("utf-16-le")
        entries += name.ljust(64, b"\0") + struct.pack("<H", len(name) + 2) + bytes(62)
    return OLE + entries


WORD = archive("[Content_Types].xml", "_rels/.rels", "word/document.xml")
SAMPLES = {
    "jfif.jpg": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + REST, "image/jpeg"),
    "exif.jpg": (b"\xff\xd8\xff\xe1\x00\x10Exif\x00" + REST, "image/jpeg"),
    "a.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + REST, "image/png"),
    "a.webp": (b"RIFF\x20\0\0\0WEBPVP8 " + REST, "image/webp"),
    "tagged.mp3": (b"ID3\x03\0\0\0\0\0\x00" + REST, "audio/mpeg"),
    "bare.mp3": (b"\xff\xfb\x90\x64" + REST, "audio/mpeg"),
    "mpeg2.mp3": (b"\xff\xf3\x44\xc4" + REST, "audio/mpeg"),
    "a.aac": (b"\xff\xf1\x50\x80" + REST, "audio/aac"),
    "a.amr": (b"#!AMR\n" + REST, "audio/amr"),
    "voice.ogg": (b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01" + REST, "audio/ogg"),
    "a.m4a": (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + REST, "audio/mp4"),
    "isom.mp4": (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + REST, "video/mp4"),
    "odd.mp4": (b"\0\0\0\x18ftypMSNV\0\0\0\0MSNVmp42" + REST, "video/mp4"),
    "a.3gp": (b"\0\0\0\x18ftyp3gp4\0\0\0\x003gp43gp6" + REST, "video/3gpp"),
    "a.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + REST, "application/pdf"),
    "a.docx": (WORD, f"{OFFICE}.wordprocessingml.document"),
    "late.docx": (
        archive("docProps/app.xml", "customXml/a.xml", "x/1", "x/2", "[Content_Types].xml", "word/d.xml"),
        f"{OFFICE}.wordprocessingml.document",
    ),
    "a.xlsx": (archive("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet"),
    "a.pptx": (
        archive("[Content_Types].xml", "ppt/presentation.xml"),
        f"{OFFICE}.presentationml.presentation",
    ),
    "a.doc": (ole("Root Entry", "WordDocument"), "application/msword"),
    "a.xls": (ole("Root Entry", "Workbook"), "application/vnd.ms-excel"),
    "a.ppt": (ole("Root Entry", "PowerPoint Document"), "application/vnd.ms-powerpoint"),
    "utf8.txt": ("Marraqueta: $1.990 el kilo ñ\n".encode(), "text/plain"),
    "windows.txt": ("Marraqueta: $1.990 el kilo ñ\n".encode("cp1252"), "text/plain"),
}  # fmt: skip

HOSTILE = {
    "windows program": b"MZ\x90\x00\x03\x00\x00\x00" + REST,
    "linux program": b"\x7fELF\x02\x01\x01" + REST,
    "mac program": b"\xcf\xfa\xed\xfe\x07\x00\x00\x01" + REST,
    "java class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + REST,
    "java archive": archive("META-INF/MANIFEST.MF", "a.class"),
    "android program": archive("AndroidManifest.xml", "classes.dex", "resources.arsc"),
    "any archive": archive("a.txt"),
    "archive of two documents": archive("[Content_Types].xml", "word/d.xml", "xl/w.xml"),
    "document with macros": archive("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
    "old document with macros": ole("Root Entry", "WordDocument", "Macros", "VBA"),
    "installer": ole("Root Entry", "\u4840\u3f3f\u4577\u446c\u3b6a\u45e4\u4824"),
    "empty compound file": OLE,
    "page": b"<!DOCTYPE html><html><script>alert(1)</script>",
    "page after a mark and blanks": b"\xef\xbb\xbf \n\t<html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg as xml": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    "shell script": b"#!/bin/sh\nrm -rf /\n",
    "video in ogg": b"OggS\0\x02" + bytes(20) + b"\x01\x2a\x80theora" + REST,
    "quicktime": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + REST,
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + REST,
    "gif": b"GIF89a" + REST,
    "wav": b"RIFF\x24\0\0\0WAVEfmt " + REST,
    "rar": b"Rar!\x1a\x07\x01\x00" + REST,
    "text with a control sign": b"hola\x00mundo",
    "noise": bytes(range(256)),
    "nothing": b"",
}  # fmt: skip


def write(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", SAMPLES)
def test_the_types_that_pass_are_known_by_their_bytes(name: str, tmp_path: Path) -> None:
    data, mime = SAMPLES[name]

    assert tell(write(tmp_path, data)).mime == mime


@pytest.mark.parametrize("what", HOSTILE)
def test_anything_else_is_refused_under_whatever_name(what: str, tmp_path: Path) -> None:
    kinds: tuple[MediaKind, ...] = ("image", "audio", "voice", "video", "document", "sticker")
    for kind in kinds:
        with pytest.raises(FileTypeError, match="unknown_type"):
            check_heard(write(tmp_path, HOSTILE[what]), kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("a.pdf", "image", id="document-as-photo"),
        pytest.param("jfif.jpg", "audio", id="photo-as-sound"),
        pytest.param("jfif.jpg", "sticker", id="photo-as-sticker"),
        pytest.param("tagged.mp3", "video", id="sound-as-video"),
        pytest.param("isom.mp4", "image", id="video-as-photo"),
    ],
)
def test_a_file_that_is_not_of_the_kind_it_came_as_is_refused(
    name: str, kind: MediaKind, tmp_path: Path
) -> None:
    with pytest.raises(FileTypeError, match="wrong_kind"):
        check_heard(write(tmp_path, SAMPLES[name][0]), kind)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_type_may_come_as_a_document(name: str, tmp_path: Path) -> None:
    data, mime = SAMPLES[name]

    assert check_heard(write(tmp_path, data), "document").mime == mime


def test_a_voice_note_in_a_container_for_video_is_sound(tmp_path: Path) -> None:
    assert check_heard(write(tmp_path, SAMPLES["isom.mp4"][0]), "voice").mime == "audio/mp4"


def test_an_archive_that_boasts_of_millions_of_names_is_not_read(tmp_path: Path) -> None:
    """The directory of a ZIP may be as large as the file: unpacking names alone would fill the memory."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 9, 1, *[0] * 6) + b"a"
    directory = entry * (2 * MB // len(entry))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, len(directory), 4, 0)

    with pytest.raises(FileTypeError):
        tell(write(tmp_path, b"PK\x03\x04" + directory + end))


@pytest.mark.parametrize("cut", range(0, len(WORD), 7))
def test_a_document_that_was_cut_short_never_breaks_the_reader(cut: int, tmp_path: Path) -> None:
    with pytest.raises(FileTypeError):
        tell(write(tmp_path, WORD[:cut]))


@pytest.mark.parametrize(
    ("mime", "size", "fits"),
    [
        pytest.param("image/jpeg", 5 * MB, True, id="photo"),
        pytest.param("image/jpeg", 5 * MB + 1, False, id="large-photo"),
        pytest.param("audio/ogg", 16 * MB + 1, False, id="long-voice-note"),
        pytest.param("video/mp4", 16 * MB + 1, False, id="long-video"),
        pytest.param("image/webp", 500_001, False, id="large-sticker"),
        pytest.param("application/pdf", 100 * MB, True, id="document"),
    ],
)
def test_meta_takes_so_many_bytes_of_each_type(mime: str, size: int, fits: bool) -> None:
    if fits:
        check_said(mime, size)
    else:
        with pytest.raises(FileTypeError, match="too_large"):
            check_said(mime, size)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        pytest.param("factura 1042.pdf", "factura 1042.pdf", id="as-it-is"),
        pytest.param("Cotización ñandú.PDF", "Cotización ñandú.PDF", id="accents"),
        pytest.param("../../etc/passwd", "passwd.pdf", id="path"),
        pytest.param("C:\\Windows\\a.pdf", "a.pdf", id="windows-path"),
        pytest.param("factura.pdf.exe", "factura.pdf.exe.pdf", id="second-extension"),
        pytest.param("factura\u202efdp.exe", "factura fdp.exe.pdf", id="turned-around"),
        pytest.param('a"\r\nSet-Cookie: x=1.pdf', "a Set-Cookie x=1.pdf", id="header"),
        pytest.param("a\0b.pdf", "a b.pdf", id="nul"),
        pytest.param(".pdf", "", id="nothing-but-an-extension"),
        pytest.param("", "", id="none"),
        pytest.param("...", "", id="dots"),
        pytest.param("x" * 500 + ".pdf", "x" * 116 + ".pdf", id="long"),
    ],
)
def test_a_name_is_nothing_but_a_name_of_its_type(name: str, safe: str) -> None:
    assert safe_name(name, "application/pdf") == safe
