"""Finds a text in bytes, in every encoding in which a program or a server may have written it."""

import base64
import html
import json
import urllib.parse
from collections.abc import Iterator


def base64_forms(text: bytes) -> Iterator[tuple[str, bytes]]:
    """As part of a longer text, at each of the three offsets; without the letters that depend on its neighbours."""
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + text)
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - (0, 3, 2)[(offset + len(text)) % 3]]
        yield f"base64 at {offset}", inner
        yield f"base64url at {offset}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def encodings(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    percent = urllib.parse.quote(text, safe="")
    yield "plain", raw
    yield "percent", percent.encode()
    yield "percent, lower case", "".join(
        letter if letter.isalnum() or letter in "-._~" else f"%{ord(letter):02x}" for letter in text
    ).encode()
    yield "form", urllib.parse.quote_plus(text).encode()
    yield "form, ~ encoded", urllib.parse.quote_plus(text).replace("~", "%7E").encode()
    yield "percent, twice", urllib.parse.quote(percent, safe="").encode()
    yield from base64_forms(raw)
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    yield "JSON", json.dumps(text)[1:-1].encode()
    yield "JSON, / escaped", json.dumps(text)[1:-1].replace("/", "\\/").encode()
    yield "JSON, all escaped", "".join(f"\\u{ord(letter):04x}" for letter in text).encode()
    yield "HTML", html.escape(text).encode()
    yield "upper case", raw.upper()
    yield "lower case", raw.lower()
    yield "UTF-16", text.encode("utf-16-le")
    yield "UTF-16, big-endian", text.encode("utf-16-be")
    yield "spaced", b" ".join(raw[at : at + 1] for at in range(len(raw)))


def pieces(text: str, length: int) -> Iterator[tuple[str, bytes]]:
    """Plain pieces, such that a run of one and a half of their length contains one of them."""
    for at in range(0, len(text) - length + 1, max(1, length // 2)):
        yield f"plain, from {at}", text[at : at + length].encode()


def found(name: str, text: str, haystack: bytes, piece: int) -> list[str]:
    """Where the text, in some encoding, or a piece of it is in these bytes."""
    needles = {needle: how for how, needle in [*pieces(text, piece), *encodings(text)]}
    places = []
    for needle, how in needles.items():
        at = haystack.find(needle)
        if at >= 0:
            places.append(f"{name} ({how}) at {at:#x}, {haystack.count(needle)} times")
    return places


def _self_check() -> None:
    """Each encoding finds the text in what another program would have written."""
    text = "aZ3~/+ =%&k9Qw0"
    for prefix in ("", "x", "xy", "xyz"):
        for suffix in ("", "1", "12"):
            whole = base64.b64encode(f"{prefix}{text}{suffix}".encode())
            assert found("it", text, whole, 8), (prefix, suffix)
    for said in (f'{{"a":{json.dumps(text)}}}', urllib.parse.urlencode({"a": text}), repr(text), text[3:12]):
        assert found("it", text, said.encode(), 6), said
    assert not found("it", text, b"aZ3~/ +=%& k9Qw", 6)


_self_check()
