"""The floor: an aiohttp handler that reads the body and answers 200. No proof, no memory."""

import argparse

import uvloop
from aiohttp import web


async def hook(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"ok")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    app = web.Application()
    app.router.add_post("/webhooks/whatsapp", hook)
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
