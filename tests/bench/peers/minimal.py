"""A minimal echo over aiohttp and Redis: dedupe and a counter a person, none of the promises.

What a careful afternoon gives: HMAC, SET NX on the message id, one hash a person, the reply sent before the 200.
"""

import argparse
import hashlib
import hmac
import json

import aiohttp
import redis.asyncio as redis
import uvloop
from aiohttp import web

SECRET = b"bench-secret"


class Echo:
    def __init__(self, graph: str, store: str) -> None:
        self.graph, self.store = graph, store

    async def start(self, _app: web.Application) -> None:
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200))
        self.redis = redis.from_url(self.store)

    async def stop(self, _app: web.Application) -> None:
        await self.http.close()
        await self.redis.aclose()

    async def hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("X-Hub-Signature-256", "")):
            return web.Response(status=401)
        for entry in json.loads(body)["entry"]:
            for change in entry["changes"]:
                value = change["value"]
                for message in value.get("messages", ()):
                    await self.answer(value["metadata"]["phone_number_id"], message)
        return web.Response(body=b"ok")

    async def answer(self, number: str, message: dict[str, dict[str, str]]) -> None:
        if not await self.redis.set(f"seen:{message['id']}", 1, nx=True, ex=8 * 86400):
            return
        count = await self.redis.hincrby(f"state:{message['from']}", "count", 1)
        reply = {
            "messaging_product": "whatsapp",
            "to": message["from"],
            "type": "text",
            "text": {"body": f"{count} {message['text']['body']}"},
        }
        url = f"{self.graph}/v26.0/{number}/messages"
        headers = {"Authorization": "Bearer T"}
        async with self.http.post(url, json=reply, headers=headers) as answer:
            await answer.read()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--graph", required=True)
    parser.add_argument("--store", required=True)
    args = parser.parse_args()
    echo = Echo(args.graph, args.store)
    app = web.Application()
    app.on_startup.append(echo.start)
    app.on_cleanup.append(echo.stop)
    app.router.add_post("/webhooks/whatsapp", echo.hook)
    web.run_app(
        app,
        host="127.0.0.1",
        port=args.port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
