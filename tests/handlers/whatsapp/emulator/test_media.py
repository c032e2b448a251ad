"""The emulator's media API, as Meta documents it, with its expiries by a clock that is moved."""

import base64
import hashlib
import io

import aiohttp
import pytest
from aiohttp import FormData

from handlers.whatsapp.emulator.media import SAMPLES
from tests.handlers.whatsapp.emulator.stage import ANA, JSON, LUNA, SOL, Stage, items

PHOTO = (SAMPLES / "photo.jpg").read_bytes()
DAY_MS = 24 * 3_600_000
VERSION = "v26.0"


def authorized(token: str = SOL.token) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def heard_photo(stage: Stage) -> JSON:
    """The object under `image` of a photo that Ana sent."""
    ana = await stage.person()
    await stage.acts(ana, type="image", caption="torta")
    [message] = items(await stage.hears(), "messages")
    image = message["image"]
    assert isinstance(image, dict)
    return image


async def described(stage: Stage, id: object, *, token: str = SOL.token) -> tuple[int, JSON]:
    url = f"{stage.address}/{VERSION}/{id}?phone_number_id={SOL.id}"
    async with stage.http.get(url, headers=authorized(token)) as answer:
        return answer.status, await answer.json()


async def download(stage: Stage, url: object, *, token: str = SOL.token) -> tuple[int, bytes]:
    async with stage.http.get(str(url), headers=authorized(token), allow_redirects=False) as answer:
        return answer.status, await answer.read()


async def upload(
    stage: Stage, data: bytes = PHOTO, mime: str = "image/jpeg", *, product: str = "whatsapp"
) -> tuple[int, JSON]:
    form = FormData()
    form.add_field("messaging_product", product)
    form.add_field("type", mime)
    form.add_field("file", io.BytesIO(data), filename="file.jpg", content_type=mime)
    url = f"{stage.address}/{VERSION}/{SOL.id}/media"
    async with stage.http.post(url, data=form, headers=authorized()) as answer:
        return answer.status, await answer.json()


async def test_a_photo_comes_with_an_id_that_leads_to_its_bytes(stage: Stage) -> None:
    image = await heard_photo(stage)
    status, told = await described(stage, image["id"])

    assert status == 200
    assert await download(stage, told["url"]) == (200, PHOTO)
    digest = hashlib.sha256(PHOTO).digest()
    assert image["sha256"] == base64.b64encode(digest).decode()
    assert (told["sha256"], told["file_size"]) == (digest.hex(), str(len(PHOTO)))


async def test_the_bytes_are_for_the_bearer_of_the_token_alone(stage: Stage) -> None:
    image = await heard_photo(stage)
    _, told = await described(stage, image["id"])

    assert (await described(stage, image["id"], token="other"))[0] == 401
    assert (await described(stage, image["id"], token=LUNA.token))[0] == 401
    assert (await download(stage, told["url"], token="other"))[0] == 401
    assert (await download(stage, str(told["url"])[:-3] + "abc"))[0] == 404


async def test_a_url_lives_five_minutes_and_is_given_anew(stage: Stage) -> None:
    image = await heard_photo(stage)
    _, told = await described(stage, image["id"])

    await stage.shift(5 * 60_000)

    assert (await download(stage, told["url"]))[0] == 404
    _, told = await described(stage, image["id"])
    assert (await download(stage, told["url"]))[0] == 200


async def test_an_id_that_came_in_lives_seven_days_and_an_upload_thirty(stage: Stage) -> None:
    image = await heard_photo(stage)
    status, uploaded = await upload(stage)
    assert status == 200

    await stage.shift(7 * DAY_MS)
    assert (await described(stage, image["id"]))[0] == 400
    assert (await described(stage, uploaded["id"]))[0] == 200

    await stage.shift(23 * DAY_MS)
    status, refused = await described(stage, uploaded["id"])
    assert (status, refused["error"]["error_subcode"]) == (400, 33)  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    ("size", "mime", "product", "code"),
    [
        pytest.param(len(PHOTO), "image/gif", "whatsapp", 100, id="type"),
        pytest.param(5_000_001, "image/jpeg", "whatsapp", 131053, id="size"),
        pytest.param(len(PHOTO), "image/jpeg", "", 100, id="product"),
    ],
)
async def test_an_upload_that_meta_refuses(
    stage: Stage, size: int, mime: str, product: str, code: int
) -> None:
    status, refused = await upload(stage, bytes(size), mime, product=product)

    assert (status, refused["error"]["code"]) == (400, code)  # type: ignore[index]  # JSON


async def test_what_was_uploaded_can_be_sent_by_its_number_alone(stage: Stage) -> None:
    ana = await stage.knows()
    _, uploaded = await upload(stage)
    image: JSON = {"to": ANA, "type": "image", "image": {"id": uploaded["id"], "caption": "torta"}}

    assert (await stage.sends(image)).status == 200
    refused = await stage.sends(image, number=LUNA)
    assert (refused.status, refused.error["code"]) == (400, 100)
    [_, bubble] = stage.emulator.world.messages(SOL.id, ana.id)
    async with stage.http.get(f"{stage.address}/api/media/{uploaded['id']}") as answer:
        assert await answer.read() == PHOTO
    assert bubble.outbound


async def test_a_deleted_file_is_gone(stage: Stage) -> None:
    image = await heard_photo(stage)
    url = f"{stage.address}/{VERSION}/{image['id']}"
    async with stage.http.delete(url, headers=authorized()) as answer:
        assert await answer.json() == {"success": True}

    assert (await described(stage, image["id"]))[0] == 400


async def test_the_phone_sends_a_file_of_this_computer(stage: Stage) -> None:
    ana = await stage.person()
    url = f"{stage.address}/api/media/{SOL.id}?name=cotizaci%C3%B3n.pdf&type=application/pdf"
    kind = {"Content-Type": "application/octet-stream"}
    async with stage.http.post(url, data=b"%PDF-1.7", headers=kind) as answer:
        source = (await answer.json())["id"]

    await stage.acts(
        ana,
        type="medium",
        kind="document",
        source=source,
        caption="la pedida",
        name="cotización.pdf",
    )

    [message] = items(await stage.hears(), "messages")
    document = message["document"]
    assert isinstance(document, dict)
    assert message["type"] == "document"
    assert (document["filename"], document["mime_type"]) == ("cotización.pdf", "application/pdf")
    _, told = await described(stage, document["id"])
    assert await download(stage, told["url"]) == (200, b"%PDF-1.7")


async def test_a_foreign_page_cannot_put_a_file_there(stage: Stage) -> None:
    url = f"{stage.address}/api/media/{SOL.id}"
    async with stage.http.post(url, data=FormData({"file": "a"})) as answer:
        assert answer.status == 415


async def test_a_page_among_the_files_is_not_shown_as_a_page(stage: Stage) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    url = f"{stage.address}/api/media/{SOL.id}?type=text/html"
    async with stage.http.post(url, data=b"<script>alert(1)</script>", headers=kind) as answer:
        source = (await answer.json())["id"]

    async with stage.http.get(f"{stage.address}/api/media/{source}") as answer:
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


# ------------------------------------------------------------------ faults


async def test_faults_of_the_description(stage: Stage) -> None:
    image = await heard_photo(stage)
    await stage.faults(media_gone=1, media_inside=1)

    assert (await described(stage, image["id"]))[0] == 400
    _, told = await described(stage, image["id"])
    assert str(told["url"]).startswith("http://169.254.169.254/")
    assert (await described(stage, image["id"]))[0] == 200


@pytest.mark.parametrize(
    "fault", ["media_url_dead", "media_redirect", "media_damaged", "media_swapped"]
)
async def test_faults_of_the_download(stage: Stage, fault: str) -> None:
    image = await heard_photo(stage)
    _, told = await described(stage, image["id"])
    await stage.faults(**{fault: 1})

    status, data = await download(stage, told["url"])

    if fault == "media_url_dead":
        assert status == 404
    elif fault == "media_redirect":
        assert status == 302
    else:
        assert (status, data[:2]) == (200, b"MZ" if fault == "media_swapped" else PHOTO[:2])
        assert hashlib.sha256(data).digest() != hashlib.sha256(PHOTO).digest()
    assert await download(stage, told["url"]) == (200, PHOTO)


async def test_an_endless_file_goes_on_behind_its_end(stage: Stage) -> None:
    image = await heard_photo(stage)
    _, told = await described(stage, image["id"])
    await stage.faults(media_endless=1)

    async with stage.http.get(str(told["url"]), headers=authorized()) as answer:
        assert answer.content_length is None
        read = 0
        while read <= 2 * len(PHOTO):
            read += len(await answer.content.read(64 * 1024))
        answer.close()


async def test_a_slow_download_waits_for_the_clock(stage: Stage) -> None:
    image = await heard_photo(stage)
    _, told = await described(stage, image["id"])
    await stage.faults(media_slow_ms=1000)
    timeout = aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(TimeoutError):
        await stage.http.get(str(told["url"]), headers=authorized(), timeout=timeout)
