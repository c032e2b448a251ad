"""The echo of pywa's own documentation, async, on FastAPI and uvicorn."""

import argparse

import fastapi
import uvicorn
from pywa_async import WhatsApp, types

NUMBER = "555000111"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--graph", required=True)
    args = parser.parse_args()
    app = fastapi.FastAPI()
    client = WhatsApp(
        phone_id=NUMBER,
        token="T",
        server=app,
        verify_token="V",
        app_secret="bench-secret",
        webhook_endpoint="/webhooks/whatsapp",
    )
    # pywa takes no other address for the Graph API, so its session is pointed at the stub.
    client.api._session.base_url = f"{args.graph}/v26.0"

    @client.on_message
    async def echo(_: WhatsApp, message: types.Message) -> None:
        await message.reply_text(f"echo {message.text}")

    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning", loop="uvloop")


if __name__ == "__main__":
    main()
