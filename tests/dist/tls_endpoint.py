#!/usr/bin/env python3
"""A token endpoint over TLS, with a root made just now:  tls_endpoint.py ROOT-FILE PORT-FILE"""

import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile

root_file, port_file = sys.argv[1:]


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps({"access_token": "a-token-over-tls", "token_type": "Bearer", "expires_in": 1200}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


with tempfile.TemporaryDirectory() as place:
    # A root, and a certificate for localhost that it has signed.
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=root of a test",
            "-keyout", f"{place}/root.key", "-out", root_file)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", f"{place}/key", "-out", f"{place}/request")
    with open(f"{place}/extensions", "w") as extensions:
        extensions.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", f"{place}/request", "-CA", root_file, "-CAkey", f"{place}/root.key",
            "-CAcreateserial", "-CAserial", f"{place}/serial", "-days", "2", "-extfile", f"{place}/extensions",
            "-out", f"{place}/certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{place}/certificate", f"{place}/key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
server.socket = context.wrap_socket(server.socket, server_side=True)
with open(port_file + ".new", "w") as file:
    file.write(str(server.server_address[1]))
os.rename(port_file + ".new", port_file)
server.serve_forever()
