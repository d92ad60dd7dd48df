"""Gets tokens all the time, as tests/integration/crowd.rs describes."""

import os
import sys
import time

import tu_token


def main() -> None:
    gets = failed = expired = 0
    slowest = 0.0
    last = ""
    with tu_token.Client() as client:
        end = time.monotonic() + float(os.environ["FLEET_SECONDS"])
        while True:
            begun, begun_at = time.monotonic(), time.time()
            try:
                token = client.get()
            except tu_token.Error as error:
                print(error, file=sys.stderr)
                failed += 1
            else:
                expired += token.expires_at.timestamp() <= begun_at
                if token.value != last:
                    last = token.value
                    print("token", last)
            slowest = max(slowest, time.monotonic() - begun)
            gets += 1
            if time.monotonic() >= end:
                break
            time.sleep(0.05)
        requests = client.stats().requests
    print("result", gets, failed, expired, round(slowest * 1000), requests)


main()
