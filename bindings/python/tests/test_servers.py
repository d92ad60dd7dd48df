"""Servers that run Python in ways of their own: mod_wsgi's interpreters, uWSGI's forks.

They come with the system's Python, which is not the one that runs the tests.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator

import pytest
from conftest import Emulator

import tu_token

APPLICATION = '''
import logging, sys

sys.path.insert(0, "{directory}")
# The program's own log, which receives the library's events.
logging.basicConfig(level=logging.INFO, stream=open("{directory}/log", "a"))
try:
    import tu_token
    client = tu_token.Client(on_event=lambda event: None)
    client.token()
    # Make sure that there are events to deliver, whatever the server does next.
    for _ in range({events}):
        client.rotate(client_id, client_secret)
except ImportError as refused:
    client, why_not = None, str(refused)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    said = client.token() + client.get("site.view").value if client else why_not
    return [said.encode()]
'''


@pytest.fixture
def directory(emulator: Emulator) -> Iterator[pathlib.Path]:
    """Put the module and an application where the server's own user can read them."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tu-token-servers-"))
    directory.chmod(0o755)
    (directory / "log").touch()
    (directory / "log").chmod(0o666)
    shutil.copytree(pathlib.Path(tu_token.__file__).parent, directory / "tu_token")
    yield directory
    shutil.rmtree(directory)


def put_application(directory: pathlib.Path, events: int) -> pathlib.Path:
    client_id, client_secret = (os.environ[f"TRACKUNIT_CLIENT_{name}"] for name in ("ID", "SECRET"))
    application = directory / "application.py"
    credentials = f"client_id, client_secret = {client_id!r}, {client_secret!r}\n"
    text = APPLICATION.replace("{directory}", str(directory)).replace("{events}", str(events))
    application.write_text(credentials + text)
    return application


def needs(*files: str) -> None:
    for file in files:
        if shutil.which(file) is None and not pathlib.Path(file).exists():
            pytest.skip(f"{file} is missing")


def free_port() -> int:
    """Return a port below those that the system chooses itself: one of them could be taken by any program before the
    server has started."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def running(command: list[str], output: pathlib.Path, **variables: str) -> Iterator[None]:
    """A server that gets the emulator's variables from its environment."""
    with output.open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        # mod_wsgi takes ten seconds to end a subinterpreter, whatever it contains.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answer_of(url: str, output: pathlib.Path) -> str:
    """Wait for the server to start, not for a particular request."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except ConnectionRefusedError:
            pass
        except OSError as failure:
            if "refused" not in str(failure):
                pytest.fail(f"{failure!r}\n{output.read_text()}")
        if time.monotonic() > deadline:
            pytest.fail(f"it does not start:\n{output.read_text()}")
        time.sleep(0.05)


# The subinterpreter is the first to import the module. Requests come on one thread, to the main interpreter first: on a
# thread that has served a subinterpreter, mod_wsgi's PyGILState_Ensure finds that one's thread state, and serves later
# requests to the main interpreter in the subinterpreter, whatever the application.
MODULES = "/usr/lib/apache2/modules"
APACHE = """
ServerRoot "{directory}"
ServerName localhost
PidFile "{directory}/pid"
Mutex file:{directory}
Listen 127.0.0.1:{port}
ErrorLog "{directory}/errors"
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
User www-data
Group www-data
StartServers 1
ServerLimit 1
ThreadsPerChild 1
MaxRequestWorkers 1
WSGIScriptAlias /first "{application}"
WSGIScriptAlias /own "{application}"
WSGIImportScript "{application}" process-group=%{GLOBAL} application-group=own
<Location /first>
  WSGIApplicationGroup %{GLOBAL}
</Location>
<Location /own>
  WSGIApplicationGroup own
</Location>
<Directory "{directory}">
  Require all granted
</Directory>
"""


def test_two_applications_under_mod_wsgi(directory: pathlib.Path, tmp_path: pathlib.Path) -> None:
    needs("apache2", f"{MODULES}/mod_wsgi.so")
    port = free_port()
    configuration, output = directory / "apache.conf", tmp_path / "output"
    text = APACHE.replace("{application}", str(put_application(directory, events=0)))
    for name, value in (("directory", str(directory)), ("port", str(port)), ("modules", MODULES)):
        text = text.replace("{" + name + "}", value)
    configuration.write_text(text)
    errors = directory / "errors"
    with running(["apache2", "-f", str(configuration), "-D", "FOREGROUND"], output):
        first = answer_of(f"http://127.0.0.1:{port}/first", output)
        own = answer_of(f"http://127.0.0.1:{port}/own", errors)
        for _ in range(5):
            assert answer_of(f"http://127.0.0.1:{port}/own", errors) == own
            assert answer_of(f"http://127.0.0.1:{port}/first", errors) == first
    assert "only in the main interpreter of a process" in own
    assert "WSGIApplicationGroup %{GLOBAL}" in own
    assert first.count("tuemu_") == 2
    assert "exit signal" not in errors.read_text(), errors.read_text()


@pytest.mark.parametrize("threads", [True, False])
def test_workers_that_uwsgi_forks(
    threads: bool, directory: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """uWSGI forks in C without notifying Python. A token is fetched, and events are delivered, while the
    application is imported, so that a library thread is inside the interpreter at that moment."""
    needs("uwsgi", "/usr/lib/uwsgi/plugins/python3_plugin.so")
    application = put_application(directory, events=300)
    for start in range(int(os.environ.get("UWSGI_STARTS", "3"))):
        port, output = free_port(), tmp_path / f"output-{start}"
        command = ["uwsgi", "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}", "--master"]
        command += ["--processes", "4", "--wsgi-file", str(application), "--die-on-term"]
        with running(command + ["--enable-threads"] * threads, output):
            # Any worker may take the request.
            for _ in range(40):
                assert answer_of(f"http://127.0.0.1:{port}/", output).count("tuemu_") == 2
