"""The module of a wheel against a running emulator: threads and asyncio tasks share one token."""

import asyncio
import platform
import threading

import tu_token

client = tu_token.Client()
found = set()


def take():
    for _ in range(100):
        found.add(client.token())


threads = [threading.Thread(target=take) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()


async def tasks():
    return await asyncio.gather(*(client.token_async() for _ in range(50)))


found.update(asyncio.run(tasks()))
assert len(found) == 1, f"{len(found)} tokens"
assert client.get().header["Authorization"].startswith("Bearer ")
client.close()
print(platform.machine(), platform.python_version(), "16 threads and 50 tasks, one token")
