"""The module of a wheel when the interpreter ends: threads that wait for a token end with the process.

Python stops such threads in the middle of the module. That goes through the unwinder the wheel was linked with, so
it is a test of the wheel: status 0, or a crash.
"""

import builtins
import os
import threading
import time
import urllib.request

import tu_token

# The answer comes while the interpreter ends.
fault = b'{"delay": "1s", "count": 1}'
urllib.request.urlopen(os.environ["IRIS_URL"] + "/_emulator/faults", fault, timeout=10).close()
client = tu_token.Client()
threads = [threading.Thread(target=client.token, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
while client.stats().waits < len(threads):
    time.sleep(0.005)


class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(2)


builtins.slow = Slow()
