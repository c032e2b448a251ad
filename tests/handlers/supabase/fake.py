"""Supabase Auth as it calls its send-SMS hook: up to three tries in five seconds, each under a new id.

From supabase/auth, internal/hooks/hookshttp/hookshttp.go: what it tries again, what it takes for an answer, what it tells
its own client.
"""

import base64
import json
from typing import Any
from uuid import uuid4

from aiohttp import ClientSession

from handlers.standard_webhooks import sign

KEY = b"the hook's key of thirty-two byt"
OTHER_KEY = b"another of the hook's keys, also"
SECRET = f"v1,whsec_{base64.b64encode(KEY).decode()}"
USER = "6481a5c1-3d37-4a56-9f6a-bee08c554965"
TRIES = 3


def body(
    phone: str = "56961234567",
    code: str = "561166",
    *,
    user: str = USER,
    **changed: Any,
) -> bytes:
    """As Supabase writes it: the user as its REST API shows it, phones without a plus."""
    return json.dumps(
        {
            "metadata": {"uuid": str(uuid4()), "name": "send-sms"},
            "user": {
                "id": user,
                "aud": "authenticated",
                "role": "",
                "email": "",
                "phone": phone,
                "phone_confirmed_at": None,
                "app_metadata": {"provider": "phone", "providers": ["phone"]},
                "user_metadata": {},
                "identities": [],
                "created_at": "2026-11-27T19:00:00.123456Z",
                "updated_at": "2026-11-27T23:59:59.999999Z",
                "is_anonymous": False,
            }
            | changed,
            "sms": {"otp": code, "phone": phone, "sms_type": "otp"},
        }
    ).encode()


def headers(
    payload: bytes, at_s: int, *, keys: tuple[bytes, ...] = (KEY,), id: str = ""
) -> dict[str, str]:
    """A new id for each try, and one signature for each secret, joined as no other sender joins them."""
    id = id or str(uuid4())
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": ", ".join(sign(id, at_s, payload, key) for key in keys),
        "Accept-Encoding": "identity",
    }


async def calls(
    http: ClientSession, url: str, payload: bytes, at_s: int, *, lose_answers: int = 0
) -> dict[str, Any]:
    """Call the hook as Supabase does; answers what its client is told, `{}` if the code is sent.

    Args:
        lose_answers: so many answers are lost on their way.
    """
    for attempt in range(TRIES):
        async with http.post(url, data=payload, headers=headers(payload, at_s)) as response:
            if attempt < lose_answers:
                continue
            match response.status:
                case 200:
                    assert response.content_type == "application/json", (
                        "Supabase takes nothing else"
                    )
                    told: dict[str, dict[str, Any]] = await response.json()
                    return told.get("error", {})
                case 429 | 503 if response.headers.get("Retry-After"):
                    continue
                case status:
                    return {"http_code": 500, "message": f"hook: {status}"}
    return {"http_code": 500, "message": "Service currently unavailable due to hook"}
