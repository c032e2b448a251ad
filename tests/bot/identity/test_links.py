"""Logins that are confirmed in a chat, and what must not open any: each attack by its name."""

import asyncio
import re
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from bot.embedded.postgres import PostgresUrls
from bot.identity import link_routes, people
from bot.identity.link_routes import COOKIE
from bot.identity.links import Links, Who
from bot.people.channels import add_channel
from bot.settings import read_settings
from bot.store.database import Database
from bot.store.secrets import SecretBox
from flows.values.ids import ChannelId, ConversationId, Ugid
from flows.values.login_ref import find_ref
from flows.values.phone import WaId
from tests.bot.identity.conftest import OLD_KEY, House, Reply, house_of, number
from tests.bot.people.conftest import BAKERY_CHANNEL, BUTCHERY
from tests.dump import dumped

ANA: Final = ConversationId("chat-of-ana")
EVE: Final = ConversationId("chat-of-eve")
HERE: Final = BAKERY_CHANNEL.id
WHO: Final = Who(phone=number(1), bsuid="", scope="waba")
SOMEBODY: Final = Who(phone=number(2), bsuid="", scope="waba")
CHROME: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


class Browser:
    """Keeps its cookie, and nothing else."""

    def __init__(self, house: House, *, agent: str = CHROME) -> None:
        self.house = house
        self.agent = agent
        self.cookie = ""
        self.attributes = ""

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        given = {"User-Agent": self.agent, **headers}
        if self.cookie:
            given["Cookie"] = f"{COOKIE}={self.cookie}"
        reply = await self.house.call(method, path, body, headers=given)
        if told := reply.headers.get("Set-Cookie"):
            self.attributes = told
            self.cookie = SimpleCookie(told)[COOKIE].value
        return reply

    async def begin(self, **asked: object) -> str:
        """Begin a login; answers its name in the message."""
        reply = await self.call("POST", "/auth/link", asked)
        assert reply.status == 201, reply.body
        return find_ref(reply.body["message"])

    async def status(self) -> str:
        return str((await self.call("GET", "/auth/link")).body["status"])

    async def take(self) -> Reply:
        return await self.call("POST", "/auth/link/session")


@pytest.fixture
def links(house: House) -> Links:
    return house.identity.links


@pytest.fixture
def browser(house: House) -> Browser:
    return Browser(house)


async def approved(links: Links, ref: str, who: Who = WHO, chat: ConversationId = ANA) -> bool:
    found = await links.ask(ref, HERE, chat)
    return found is not None and await links.approve(found[0], chat, who)


def assert_over(reply: Reply) -> None:
    assert (reply.status, reply.problem) == (401, "link")


# ------------------------------------------------------------------ as it should be


async def test_a_login_is_begun_confirmed_and_taken(browser: Browser, links: Links) -> None:
    begun = await browser.call("POST", "/auth/link", {"locale": "es_CL"})
    link = urlsplit(begun.body["url"])
    [message] = parse_qs(link.query)["text"]
    ref = find_ref(message)

    assert (link.scheme, link.netloc) == ("https", "wa.me")
    assert link.path.strip("/") == re.sub(r"\D", "", BAKERY_CHANNEL.display_phone)
    assert begun.body["qr"].startswith("<svg")
    assert begun.body["expires_in"] == 300
    assert await browser.status() == "waiting"
    found = await links.ask(ref, HERE, ANA)
    assert found is not None
    id, about = found
    assert (about.browser, about.system, about.network) == ("Chrome", "Windows", "127.0.x.x")
    assert await browser.status() == "asked"
    assert await links.approve(id, ANA, WHO)
    assert await browser.status() == "approved"

    session = await browser.take()

    assert session.status == 200
    me = await browser.house.call("GET", "/auth/me", token=session.body["access_token"])
    assert me.body["ugid"] == session.body["ugid"]
    assert [(each["kind"], each["value"]) for each in me.body["identities"]] == [
        ("phone", number(1))
    ]


async def test_the_name_has_128_bits_and_the_cookie_is_out_of_reach(browser: Browser) -> None:
    refs = {await browser.begin() for _ in range(20)}

    assert len(refs) == 20
    assert all(len(ref) * 5 >= 128 for ref in refs)
    attributes = browser.attributes.lower()
    assert all(part in attributes for part in ("httponly", "samesite=strict", "secure"))
    assert "path=/auth" in attributes


async def test_a_code_and_a_link_lead_to_the_same_person(
    house: House, browser: Browser, links: Links
) -> None:
    challenge, code = await house.challenge(number(1))
    by_code = await house.give(challenge, code)
    await approved(links, await browser.begin())

    assert (await browser.take()).body["ugid"] == by_code.body["ugid"]


async def test_a_browser_is_told_by_events(house: House, browser: Browser, links: Links) -> None:
    ref = await browser.begin()
    found = await links.ask(ref, HERE, ANA)
    assert found is not None
    headers = {"Cookie": f"{COOKIE}={browser.cookie}"}
    async with house.http.get("/auth/link/events", headers=headers) as stream:
        first = await stream.content.readuntil(b"\n\n")
        await links.approve(found[0], ANA, WHO)
        rest = await stream.content.read()

    assert stream.headers["Content-Type"] == "text/event-stream"
    assert b'"status":"asked"' in first
    assert b'"status":"approved"' in rest
    assert b"token" not in first + rest


async def test_a_process_tells_so_many_browsers_and_the_others_ask(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_routes, "EVENTS_MAX", 1)
    await browser.begin()
    headers = {"Cookie": f"{COOKIE}={browser.cookie}"}
    async with house.http.get("/auth/link/events", headers=headers) as stream:
        await stream.content.readuntil(b"\n\n")

        refused = await browser.call("GET", "/auth/link/events")

        assert (refused.status, refused.problem) == (503, "unavailable")
        assert await browser.status() == "waiting"
        house.passes(301)
        assert b'"status":"over"' in await stream.content.read()
    async with house.http.get("/auth/link/events", headers=headers) as stream:
        assert stream.status == 200


async def test_the_message_is_in_the_language_that_was_asked_for(browser: Browser) -> None:
    begun = await browser.call("POST", "/auth/link", {"locale": "en"})

    assert begun.body["message"].startswith("I want to sign in to Panadería Sol. Ref: ")


async def place_shown(house: House, place: str) -> str:
    reply = await Browser(house).call("POST", "/auth/link", {}, **{"CF-IPCity": place})
    found = await house.identity.links.ask(find_ref(reply.body["message"]), HERE, ANA)
    assert found is not None
    return found[1].place


async def test_the_city_is_a_word_of_a_proxy_of_ours(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    told = {"PLACE_HEADER": "CF-IPCity"}
    async with house_of(clean_valkey, clean_postgres, TRUSTED_PROXIES="1", **told) as house:
        assert await place_shown(house, "San Pedro") == "San Pedro"
        assert await place_shown(house, "<b>Santiago</b>") == ""
        assert await place_shown(house, "a" * 41) == ""
    async with house_of(clean_valkey, clean_postgres, **told) as house:
        assert await place_shown(house, "Santiago") == ""


# ------------------------------------------------------------------ attacks


async def test_nonce_from_another_browser(house: House, browser: Browser, links: Links) -> None:
    other = Browser(house)
    await other.begin()
    await approved(links, await browser.begin())

    assert await other.status() == "waiting"
    assert_over(await other.take())
    assert_over(await Browser(house).take())
    assert (await browser.take()).status == 200


async def test_a_cookie_with_another_secret(house: House, browser: Browser, links: Links) -> None:
    await approved(links, await browser.begin())
    thief = Browser(house)
    other = Browser(house)
    await other.begin()
    for cookie in (
        "",
        "x",
        "A" * 64,
        browser.cookie[:22] + other.cookie[22:],
        browser.cookie + "A",
    ):
        thief.cookie = cookie
        assert await thief.status() == "over"
        assert_over(await thief.take())

    assert (await browser.take()).status == 200


async def test_replay(browser: Browser, links: Links) -> None:
    ref = await browser.begin()
    cookie = browser.cookie
    assert await approved(links, ref)
    assert (await browser.take()).status == 200
    browser.cookie = cookie

    assert_over(await browser.take())
    assert await links.ask(ref, HERE, ANA) is None
    assert await browser.status() == "over"


async def test_two_who_take_at_once_get_one_session(browser: Browser, links: Links) -> None:
    await approved(links, await browser.begin())
    twin = Browser(browser.house)
    twin.cookie = browser.cookie

    replies = await asyncio.gather(*(each.take() for each in (browser, twin) * 10))

    assert sorted(reply.status for reply in replies) == [200, *[401] * 19]


async def test_late_message(house: House, browser: Browser, links: Links) -> None:
    ref = await browser.begin()
    house.passes(301)

    assert await links.ask(ref, HERE, ANA) is None
    assert await browser.status() == "over"


async def test_late_answer(house: House, browser: Browser, links: Links) -> None:
    found = await links.ask(await browser.begin(), HERE, ANA)
    assert found is not None
    house.passes(301)

    assert not await links.approve(found[0], ANA, WHO)
    assert_over(await browser.take())


async def test_late_take(house: House, browser: Browser, links: Links) -> None:
    await approved(links, await browser.begin())
    house.passes(301)

    assert_over(await browser.take())


async def test_no_button(browser: Browser, links: Links) -> None:
    found = await links.ask(await browser.begin(), HERE, ANA)
    assert found is not None

    assert await links.refuse(found[0], ANA)

    assert await browser.status() == "refused"
    assert not await links.approve(found[0], ANA, WHO)
    assert_over(await browser.take())
    assert await browser.status() == "refused"


async def test_the_inbound_message_alone_lets_nobody_in(browser: Browser, links: Links) -> None:
    found = await links.ask(await browser.begin(), HERE, ANA)
    assert found is not None

    assert_over(await browser.take())

    # Whoever asks too early spoils nothing.
    assert await browser.status() == "asked"
    assert await links.approve(found[0], ANA, WHO)


async def test_another_chat_answers_for_a_login_that_was_asked(
    browser: Browser, links: Links
) -> None:
    ref = await browser.begin()
    found = await links.ask(ref, HERE, ANA)
    assert found is not None

    assert await links.ask(ref, HERE, EVE) is None
    assert not await links.approve(found[0], EVE, SOMEBODY)
    assert not await links.refuse(found[0], EVE)
    assert await browser.status() == "asked"


async def test_an_answer_without_a_question(browser: Browser, links: Links) -> None:
    ref = await browser.begin()

    for id in (ref, "", "00" * 16, "no hex"):
        assert not await links.approve(id, ANA, WHO)
    assert await browser.status() == "waiting"


async def test_a_message_to_another_number(browser: Browser, links: Links) -> None:
    ref = await browser.begin()

    assert await links.ask(ref, ChannelId("00000000-0000-4000-8000-000000000000"), ANA) is None
    assert await browser.status() == "waiting"


async def test_the_link_leads_to_no_demo_number(
    clean_valkey: str, clean_postgres: PostgresUrls, database: Database, firms: None
) -> None:
    """The butchery runs a demo number, and has no other: its people log in on the platform's."""
    show = msgspec.structs.replace(
        BAKERY_CHANNEL,
        id=ChannelId("1c9c8b6d-7b4e-4c1f-8d20-3e4f5a6b7c8d"),
        tenant=BUTCHERY.id,
        phone_number_id="2",
        display_phone="+56 2 2345 6701",
        demo=True,
    )
    box = SecretBox(read_settings({"SMARTERBOT_KEYS": OLD_KEY}).keys)
    await add_channel(database, box, show, token="")
    chats = "http://127.0.0.1:8000/wa.me"
    async with house_of(clean_valkey, clean_postgres, WHATSAPP_CHAT_URL=chats) as house:
        begun = await Browser(house).call("POST", "/auth/link", {"tenant": BUTCHERY.id})

    assert begun.body["url"].startswith(f"{chats}/56961234567?text=")


async def test_what_was_asked_may_be_asked_and_answered_again(
    browser: Browser, links: Links
) -> None:
    ref = await browser.begin()

    assert await links.ask(ref, HERE, ANA) == await links.ask(ref, HERE, ANA)
    found = await links.ask(ref, HERE, ANA)
    assert found is not None
    assert await links.approve(found[0], ANA, WHO)
    assert await links.approve(found[0], ANA, WHO)
    assert not await links.refuse(found[0], ANA)


async def test_a_browser_has_one_login_at_a_time(browser: Browser, links: Links) -> None:
    first = await browser.begin()
    second = await browser.begin()

    assert await links.ask(first, HERE, ANA) is None
    assert await approved(links, second)


async def test_bsuid_only_sender(house: House, browser: Browser, links: Links) -> None:
    nameless = Who(phone="", bsuid="CL.1349", scope="portfolio-1")
    await approved(links, await browser.begin(), nameless)
    first = (await browser.take()).body["ugid"]
    elsewhere = Who(phone="", bsuid="CL.1349", scope="portfolio-2")
    await approved(links, await browser.begin(), elsewhere)
    other = (await browser.take()).body["ugid"]
    both = Who(phone=number(5), bsuid="CL.1349", scope="portfolio-1")
    await approved(links, await browser.begin(), both)

    # Shown together with a phone that nobody has proved it is the same person; a BSUID of another portfolio is nobody's.
    assert (await browser.take()).body["ugid"] == first
    assert other != first


async def test_a_bsuid_of_somebody_else_leads_to_the_phone_s_person(
    house: House, browser: Browser, links: Links
) -> None:
    await approved(links, await browser.begin(), Who("", "CL.77", "p"))
    by_bsuid = (await browser.take()).body["ugid"]
    await approved(links, await browser.begin(), WHO)
    by_phone = (await browser.take()).body["ugid"]
    await approved(links, await browser.begin(), Who(WHO.phone, "CL.77", "p"))

    assert (await browser.take()).body["ugid"] == by_phone
    await approved(links, await browser.begin(), Who("", "CL.77", "p"))
    assert (await browser.take()).body["ugid"] == by_bsuid


async def test_a_disabled_person_stays_out(house: House, browser: Browser, links: Links) -> None:
    await approved(links, await browser.begin())
    ugid = (await browser.take()).body["ugid"]
    async with house.database.system() as connection:
        await people.disable(connection, ugid, datetime.now(UTC))
    await approved(links, await browser.begin())

    assert_over(await browser.take())


async def test_a_firm_s_login_is_of_that_firm(house: House, browser: Browser, links: Links) -> None:
    await approved(links, await browser.begin(tenant=BUTCHERY.id))
    session = await browser.take()

    me = await house.call("GET", "/auth/me", token=session.body["access_token"])
    assert (me.body["tenant"], me.body["role"]) == (BUTCHERY.id, "customer")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"tenant": "00000000-0000-4000-8000-000000000000"}, 422, id="no firm"),
        pytest.param({"tenant": 1}, 422, id="no id"),
        pytest.param({"phone": "1"}, 422, id="a field too many"),
        pytest.param([], 422, id="no object"),
        pytest.param({"locale": "x" * 11}, 422, id="no language"),
    ],
)
async def test_what_cannot_be_asked(browser: Browser, body: object, status: int) -> None:
    assert (await browser.call("POST", "/auth/link", body)).status == status


async def test_who_begins_too_many_waits(
    clean_valkey: str, clean_postgres: PostgresUrls, firms: None
) -> None:
    async with house_of(clean_valkey, clean_postgres, OTP_PER_IP_HOUR="3") as house:
        replies = [await Browser(house).call("POST", "/auth/link", {}) for _ in range(4)]

    assert [reply.status for reply in replies] == [201, 201, 201, 429]
    assert int(replies[-1].headers["Retry-After"]) > 0


async def test_nothing_secret_of_a_link_is_in_the_store(
    house: House, browser: Browser, links: Links, clean_valkey: str
) -> None:
    ref = await browser.begin()
    await approved(links, ref)
    entry = await links.enter(Who(number(1), "", "", await _known(house)), tenant=None, locale="")

    told = dumped(clean_valkey)

    assert "link:{" in told
    assert not any(secret in told for secret in (ref, browser.cookie, entry, number(1)))


# ------------------------------------------------------------------ into the panel


async def _known(house: House) -> Ugid:
    async with house.database.system() as connection:
        return await people.enter(
            connection, "phone", "", number(1), at=datetime.now(UTC), method="test"
        )


async def _enter(house: House, entry: str) -> Reply:
    return await house.call("POST", "/auth/entry", {"entry": entry})


async def test_a_link_into_the_panel_opens_it_once(house: House, links: Links) -> None:
    ugid = await _known(house)
    entry = await links.enter(Who(number(1), "", "", ugid), tenant=None, locale="")

    replies = await asyncio.gather(*(_enter(house, entry) for _ in range(10)))

    assert sorted(reply.status for reply in replies) == [200, *[401] * 9]
    [opened] = [reply for reply in replies if reply.status == 200]
    assert opened.body["ugid"] == ugid


async def test_a_newer_link_into_the_panel_ends_the_one_before(house: House, links: Links) -> None:
    who = Who(number(1), "", "", await _known(house))
    first = await links.enter(who, tenant=None, locale="")
    second = await links.enter(who, tenant=None, locale="")

    assert_over(await _enter(house, first))
    assert (await _enter(house, second)).status == 200


async def test_a_link_into_the_panel_is_over_after_five_minutes(house: House, links: Links) -> None:
    entry = await links.enter(Who(number(1), "", "", await _known(house)), tenant=None, locale="")
    house.passes(301)

    assert_over(await _enter(house, entry))


async def test_a_link_into_the_panel_is_no_one_else_s_after_the_number_moved(
    house: House, links: Links
) -> None:
    entry = await links.enter(Who(number(1), "", "", await _known(house)), tenant=None, locale="")
    async with house.database.system() as connection:
        other = await people.add_person(connection, at=datetime.now(UTC))
        await people.link(connection, other, "phone", "", number(1), datetime.now(UTC))

    assert_over(await _enter(house, entry))


@pytest.mark.parametrize("entry", ["x", "A" * 64, "ñ" * 64, "=" * 64, "A" * 200])
async def test_no_link_into_the_panel(house: House, entry: str) -> None:
    assert_over(await _enter(house, entry))


# ------------------------------------------------------------------ a code in the chat


async def test_a_code_that_was_typed_into_the_chat_works_no_more(house: House) -> None:
    phone = number(9)
    challenge, code = await house.challenge(phone)
    house.passes(61)
    at_a_firm, another = await house.challenge(phone, tenant=BUTCHERY.id)

    assert await house.identity.codes.void(WaId(phone))

    assert (await house.give(challenge, code)).status == 401
    assert (await house.give(at_a_firm, another)).status == 401
    assert not await house.identity.codes.void(WaId(phone))


async def test_a_code_to_another_phone_still_works(house: House) -> None:
    challenge, code = await house.challenge(number(9))

    assert not await house.identity.codes.void(WaId(number(8)))

    assert (await house.give(challenge, code)).status == 200
