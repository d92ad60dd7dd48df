"""Uses secrets and tokens in every way the Python package has, and prints all that it is told: program.py URL..."""

import asyncio
import copy
import json
import logging
import os
import pickle
import pprint
import sys
import traceback

import tu_token



class Everything(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"log record: {super().format(record)} {vars(record)}"


handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(Everything("%(levelname)s %(name)s %(message)s"))
logging.basicConfig(level=1, handlers=[handler])


def show(what: object) -> None:
    print(repr(what), str(what), f"{what}", ascii(what), pprint.pformat(what))
    for attribute in ("__dict__", "__cause__", "__context__", "args", "__notes__"):
        print(attribute, getattr(what, attribute, None))


def on_event(event: tu_token.Event) -> None:
    show(event)


def fails(call) -> None:
    try:
        call()
    except Exception as error:
        show(error)
        try:
            print(pickle.dumps(error, 0))
        except Exception as unpicklable:
            show(unpicklable)
        traceback.print_exc(file=sys.stdout)
    else:
        print("did not fail")


def use(url: str, rounds: int = 1, **options) -> None:
    client = tu_token.Client(token_url=url, name="secrecy", log="info", on_event=on_event, **options)
    show(client)
    for number in range(rounds):
        try:
            token = client.get()
        except tu_token.Error as error:
            show(error)
            traceback.print_exc(file=sys.stdout)
            continue
        show(token)
        show(client.stats())
        show(copy.deepcopy(token))
        fails(lambda: pickle.dumps(token))
        client.api_refused("https://iris.trackunit.com/")
        if number + 1 < rounds:
            client.invalidate(token)
            client.invalidate(token.bearer)
    client.close()


async def use_async(url: str) -> None:
    async with tu_token.Client(token_url=url, on_event=on_event) as client:
        show(await client.get_async())
        client.rotate(os.environ["TRACKUNIT_CLIENT_ID"], os.environ["SECOND_SECRET"])
        await client.token_async()


def main() -> None:
    good, *others = sys.argv[1:]
    secret = os.environ["SECOND_SECRET"]
    # On a busy machine, too, its tokens are saved.
    use(good, rounds=2, store=os.environ["STORE"], store_timeout=10)
    for url in others:
        use(url)
        use(url, client_auth="basic")
    use(good, client_secret_file=os.environ["SECRET_FILE"])
    use(good, params=os.environ["PARAMS"])
    use(good, proxy=os.environ["GOOD_PROXY"])
    use(good, proxy=os.environ["BAD_PROXY"])
    use(good, credentials=lambda refused: (os.environ["TRACKUNIT_CLIENT_ID"], secret))
    asyncio.run(use_async(good))
    for key, value in json.loads(os.environ["MISTAKES"]):
        fails(lambda: tu_token.Client(**{key: value}))
    fails(lambda: tu_token.Client(client_secret=secret + "\n"))
    fails(lambda: tu_token.Client(client_secret=secret.encode()))
    fails(lambda: tu_token.Client(client_secret=[secret]))
    fails(lambda: use(good, credentials=lambda refused: secret))
    fails(lambda: use(good, credentials=lambda refused: (secret.encode(), secret.encode())))
    print("the end")


main()
