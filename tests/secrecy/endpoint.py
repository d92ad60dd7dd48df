"""A token endpoint, over TLS and without, and proxies. The endpoint's answers repeat the client's secret in many forms."""

import base64
import html
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Callable


def quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


# How an answer repeats the secret: the paths of the endpoint below /echo/.
FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda secret: f"the secret {secret} is wrong",
    "percent": lambda secret: f"client_secret={quoted(secret)}&grant_type=client_credentials",
    "percent-lower": lambda secret: urllib.parse.quote(secret, safe="").lower(),
    "percent-twice": lambda secret: quoted(quoted(secret)),
    "html": lambda secret: f"<b>{html.escape(secret)}</b>",
    "base64": lambda secret: "Basic " + base64.b64encode(f"id:{secret}".encode()).decode(),
    "hex": lambda secret: secret.encode().hex(),
    "escaped": lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
    "split": lambda secret: " ".join(secret),
    "half": lambda secret: f"the secret begins with {secret[: len(secret) // 2]}",
}


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    token = ""  # each token begins with it
    issued = 0

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: str, kind: str = "application/json", **headers: str) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def secret(self) -> str:
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            login = base64.b64decode(basic.removeprefix("Basic ")).decode()
            return urllib.parse.unquote_plus(login.split(":", 1)[1])
        return form.get("client_secret", [""])[0]

    def do_GET(self) -> None:
        self.answer(404, "{}")

    def do_POST(self) -> None:
        secret = self.secret()
        where = self.path.split("/")[1:]
        Endpoint.issued += 1
        token = {"access_token": f"{self.token}.{Endpoint.issued}", "token_type": "Bearer", "expires_in": 1200}
        match where:
            case ["token"]:
                self.answer(200, json.dumps(token))
            case ["chunked"]:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                for piece in (json.dumps(token)[:30].encode(), json.dumps(token)[30:].encode(), b""):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            case ["scope"]:
                self.answer(200, json.dumps(token | {"scope": f"asset.view {secret} {quoted(secret)}"}))
            case ["broken"]:
                self.answer(200, json.dumps(token)[:-1] + f' "client_secret": "{secret}"')
            case ["refused"]:
                said = {"error": "invalid_client", "error_description": FORMS["plain"](secret)}
                self.answer(401, json.dumps(said), WWW_Authenticate=f'Basic realm="{secret}"')
            case ["code"]:
                self.answer(400, json.dumps({"error": secret, "error_uri": f"https://auth.example/?s={quoted(secret)}"}))
            case ["page"]:
                self.answer(403, f"<html><title>{secret}</title>{html.escape(secret)}</html>", "text/html")
            case ["redirect"]:
                self.answer(302, "", Location=f"https://auth.example/{quoted(secret)}?client_secret={quoted(secret)}")
            case ["echo", form]:
                self.answer(400, json.dumps({"error": "invalid_request", "error_description": FORMS[form](secret)}))
            case _:
                self.answer(404, "{}")


PATHS = ["chunked", "scope", "broken", "refused", "code", "page", "redirect", *(f"echo/{form}" for form in FORMS)]


class Proxy(http.server.BaseHTTPRequestHandler):
    """Lets CONNECT through; one whose class says so refuses each login, and repeats it."""

    refuses = False

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        if self.refuses:
            login = self.headers.get("Proxy-Authorization", "")
            self.send_response(407, f"wrong: {login}")
            self.send_header("Proxy-Authenticate", f'Basic realm="{login}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            back = threading.Thread(target=pass_on, args=(there, self.connection), daemon=True)
            back.start()
            pass_on(self.connection, there)
            back.join()
        self.close_connection = True


class RefusingProxy(Proxy):
    refuses = True


def pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(handler: type[http.server.BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> int:
    """Serves on a free port of this machine, which it returns."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def certificate(place: pathlib.Path) -> ssl.SSLContext:
    """A certificate for localhost, which is its own root: place/root.pem."""
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command += " -addext basicConstraints=critical,CA:FALSE"
    files = ["-keyout", str(place / "key.pem"), "-out", str(place / "root.pem")]
    subprocess.run(["openssl", *command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "root.pem", place / "key.pem")
    return context
