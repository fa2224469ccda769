"""Bytes that make no message which a client knows, in each codec that has them, by what is odd about them."""

from collections.abc import Mapping
from typing import Final

from improto_conformance.clients.check import framed

__all__ = ["LOST", "MALFORMED", "UNKNOWN", "WRONG", "WRONG_LISTS", "Bytes"]

Bytes = Mapping[str, bytes]
"""The bytes of something in each codec that has it."""


def _packed(text: bytes) -> bytes:
    return b"\xda" + len(text).to_bytes(2) + text


UNKNOWN: Final[dict[str, Bytes]] = {
    "without-fields": {
        "ascii": b"PING\n",
        "json": b'{"type":"PING"}\n',
        "msgpack": framed(b"\x91\xa4PING"),
        "pickle": b"PING (l.",
    },
    "of-20-letters": {
        "ascii": b"A_COMMAND_OF_20_CHAR \n".replace(b"20", b"XX"),
        "json": b'{"type":"A_COMMAND_OF_XX_CHAR","x":"y"}\n',
        "msgpack": framed(b"\x92\xb4A_COMMAND_OF_XX_CHAR\xa1y"),
        "pickle": b"A_COMMAND_OF_XX_CHAR (S'y'\nl.",
    },
    "with-fields-of-all-types": {
        "ascii": b'WEATHER today "a b" x= \n',
        "json": b'{"type":"WEATHER","a":1.5,"b":[true,null,{"c":"d"}],"e":-1e400}\n',
        "msgpack": framed(b"\x96\xa7WEATHER\x07\xc3\xc0\xcb\x3f\xf8\0\0\0\0\0\0\x91\x81\xa1a\xc4\x01\0"),
        "pickle": b"WEATHER (I7\nI01\nNF1.5\n(S'a'\n(ldl.",
    },
    "that-begins-like-another": {
        "ascii": b"ERROR_LIST 7 x\n",
        "json": b'{"type":"ERROR_LIST","message":"x"}\n',
        "msgpack": framed(b"\x92\xaaERROR_LIST\xa1x"),
        "pickle": b"ERROR_LIST (S'x'\nl.",
    },
    "of-an-extension": {
        "ascii": b"_ACME_TYPING 7 bo\n",
        "json": b'{"type":"_ACME_TYPING","conversation":"7"}\n',
        "msgpack": framed(b"\x92\xac_ACME_TYPING\xa17"),
        "pickle": b"_ACME_TYPING (S'7'\nl.",
    },
    "that-is-long": {
        "ascii": b'NEWS "' + b"x" * 60_000 + b'"\n',
        "json": b'{"type":"NEWS","text":"' + b"x" * 60_000 + b'"}\n',
        "msgpack": framed(b"\x92\xa4NEWS" + _packed(b"x" * 60_000)),
        "pickle": b"NEWS (S'" + b"x" * 60_000 + b"'\nl.",
    },
    "that-is-unreadable-inside": {
        "ascii": b'NEWS "a\\u00e9\\ud83d\\ude00"\n',
        "json": '{"type":"NEWS","é":"\U0001f600"}\n'.encode(),
        "msgpack": framed(b"\x92\xa4NEWS\xc7\x02\x05ab"),
        "pickle": b"NEWS (S'\\xff\\xfe'\nl.",
    },
}
"""Commands that are not in the table (CLIENT-6)."""

_DEEP = 100_000

MALFORMED: Final[dict[str, Bytes]] = {
    "an-open-quote": {"ascii": b'ERROR "plain\n', "json": b'{"type":"ERROR","message":"plain}\n'},
    "an-open-bracket": {
        "json": b'{"type":"ERROR","message":"plain"\n',
        "msgpack": framed(b"\x93\xa5ERROR\xa1x"),
    },
    "what-is-no-message-at-all": {
        "ascii": b"{}\n",
        "json": b'["ERROR","plain"]\n',
        "msgpack": framed(b"\x81\xa5ERROR\xa5plain"),
    },
    "nothing-at-all": {"json": b"null\n", "msgpack": framed(b"\xc0")},
    "a-bare-number": {"json": b"7\n", "msgpack": framed(b"\x07")},
    "a-bare-text": {"json": b'"ERROR"\n', "msgpack": framed(b"\xa5ERROR")},
    "no-command": {"json": b'{"message":"plain"}\n', "msgpack": framed(b"\x90")},
    "a-number-for-a-command": {
        "json": b'{"type":7,"message":"plain"}\n',
        "msgpack": framed(b"\x92\x07\xa5plain"),
    },
    "a-list-for-a-command": {
        "json": b'{"type":["ERROR"],"message":"plain"}\n',
        "msgpack": framed(b"\x92\x91\xa5ERROR\xa5plain"),
    },
    "an-empty-or-blank-command": {
        "ascii": b'"" x\n',
        "json": b'{"type":"","message":"x"}\n',
        "msgpack": framed(b"\x92\xa0\xa1x"),
    },
    "a-command-in-small-letters": {
        "ascii": b"error plain\n",
        "json": b'{"type":"error","message":"plain"}\n',
        "msgpack": framed(b"\x92\xa5error\xa5plain"),
    },
    "a-command-with-a-blank-behind": {
        "json": b'{"type":"ERROR ","message":"plain"}\n',
        "msgpack": framed(b"\x92\xa6ERROR \xa5plain"),
    },
    "a-command-that-each-object-has": {
        "ascii": b"constructor plain\n",
        "json": b'{"type":"constructor","message":"plain"}\n',
        "msgpack": framed(b"\x92\xabconstructor\xa5plain"),
    },
    "bytes-that-are-no-utf-8": {
        "ascii": b"ERROR pl\xe4in\n",
        "json": b'{"type":"ERROR","message":"pl\xe4in"}\n',
        "msgpack": framed(b"\x92\xa5ERROR\xa5pl\xe4in"),
    },
    "a-lone-surrogate": {
        "ascii": b'ERROR "\\ud83d"\n',
        "json": b'{"type":"ERROR","message":"\\ude00"}\n',
        "msgpack": framed(b"\x92\xa5ERROR\xa3\xed\xa0\xbd"),
    },
    "a-lone-surrogate-in-a-name": {
        "ascii": b'ONLINE_USERS ann=here "\\ud83d"=x\n',
        "json": b'{"type":"ONLINE_USERS","users":{"ann":"here","\\ud83d":"x"}}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x82\xa3ann\xa4here\xa3\xed\xa0\xbd\xa1x"),
    },
    "a-lone-surrogate-in-what-is-ignored": {"json": b'{"type":"ERROR","message":"plain","x":"\\ud83d"}\n'},
    "a-carriage-return-as-it-is": {
        "ascii": b"ERROR a\rb\n",
        "json": b'{"type":"ERROR","message":"a\rb"}\n',
    },
    "a-control-as-it-is": {"ascii": b"ERROR a\x07b\n", "json": b'{"type":"ERROR","message":"a\x07b"}\n'},
    "five-levels": {
        "json": b'{"type":"ERROR","message":"plain","x":[[[[1]]]]}\n',
        "msgpack": framed(b"\x92\xa4PING\x91\x91\x91\x91\x01"),
    },
    "100000-levels": {
        "json": b'{"type":"ERROR","message":"plain","x":' + b"[" * _DEEP + b"]" * _DEEP + b"}\n",
        "msgpack": framed(b"\x92\xa4PING" + b"\x91" * _DEEP + b"\x01"),
    },
    "something-behind-the-message": {
        "ascii": b'ERROR plain"\n',
        "json": b'{"type":"ERROR","message":"plain"} {}\n',
        "msgpack": framed(b"\x92\xa5ERROR\xa5plain\0"),
    },
    "not-a-number": {"json": b'{"type":"ERROR","message":"plain","x":NaN}\n'},
    "infinity": {"json": b'{"type":"ERROR","message":"plain","x":-Infinity}\n'},
    "a-comma-too-much": {"json": b'{"type":"ERROR","message":"plain",}\n'},
    "single-quotes": {"json": b"{'type':'ERROR','message':'plain'}\n"},
    "utf-16": {"json": '{"type":"ERROR","message":"plain"}'.encode("utf-16-be") + b"\n"},
    "a-byte-order-mark": {
        "json": b'\xef\xbb\xbf{"type":"ERROR","message":"plain"}\n',
        "ascii": b"\xef\xbb\xbfERROR plain\n",
    },
    "an-empty-frame": {"msgpack": framed(b"")},
    "a-byte-that-means-nothing": {"msgpack": framed(b"\x92\xa5ERROR\xc1"), "ascii": b"ERROR a\0b\n"},
    "a-count-beyond-the-message": {"msgpack": framed(b"\x92\xa5ERROR\xdd\xff\xff\xff\xff")},
}
"""What has no form of a message, in codecs whose framing tells where the next one begins (CLIENT-18)."""

WRONG: Final[dict[str, Bytes]] = {
    "a-number-for-a-text": {
        "json": b'{"type":"ERROR","message":7}\n',
        "msgpack": framed(b"\x92\xa5ERROR\x07"),
        "pickle": b"ERROR I7\n.",
    },
    "nothing-for-a-text": {
        "json": b'{"type":"MESSAGE","conversation":"7","sender":"bo","text":null}\n',
        "msgpack": framed(b"\x94\xa7MESSAGE\xa17\xa2bo\xc0"),
        "pickle": b"MESSAGE (S'7'\nS'bo'\nNl.",
    },
    "a-list-for-a-text": {
        "json": b'{"type":"ERROR","message":["plain"]}\n',
        "msgpack": framed(b"\x92\xa5ERROR\x91\xa5plain"),
    },
    "a-list-for-an-id": {
        "json": b'{"type":"INVITATION","conversation":["7"],"source":"bo"}\n',
        "msgpack": framed(b"\x93\xaaINVITATION\x91\xa17\xa2bo"),
        "pickle": b"INVITATION ((S'7'\nlS'bo'\nl.",
    },
    "a-number-for-an-id": {
        "json": b'{"type":"INVITATION","conversation":7,"source":"bo"}\n',
        "msgpack": framed(b"\x93\xaaINVITATION\x07\xa2bo"),
    },
    "several-words-for-a-text": {"ascii": b"ERROR not so plain\n"},
    "no-field-at-all": {
        "ascii": b"ERROR\n",
        "json": b'{"type":"ERROR"}\n',
        "msgpack": framed(b"\x91\xa5ERROR"),
        "pickle": b"ERROR (l.",
    },
    "a-field-in-capitals": {"json": b'{"type":"ERROR","Message":"plain"}\n'},
    "nothing-for-a-status": {
        "json": b'{"type":"ONLINE_USERS","users":{"ann":"here","bo":null}}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x82\xa3ann\xa4here\xa2bo\xc0"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'here'\nS'bo'\nNd.",
    },
    "nothing-for-a-map": {
        "json": b'{"type":"ONLINE_USERS","users":null}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\xc0"),
        "pickle": b"ONLINE_USERS N.",
    },
    "a-field-too-few": {
        "ascii": b"INVITATION 7\n",
        "json": b'{"type":"INVITATION","conversation":"7"}\n',
        "msgpack": framed(b"\x92\xaaINVITATION\xa17"),
        "pickle": b"INVITATION (S'7'\nl.",
    },
    "a-field-too-many": {
        "ascii": b"INVITATION 7 bo cy\n",
        "msgpack": framed(b"\x94\xaaINVITATION\xa17\xa2bo\xa2cy"),
        "pickle": b"INVITATION (S'7'\nS'bo'\nS'cy'\nl.",
    },
    "a-list-for-a-map": {
        "ascii": b"ONLINE_USERS ann bo\n",
        "json": b'{"type":"ONLINE_USERS","users":["ann","bo"]}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x92\xa3ann\xa2bo"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'bo'\nl.",
    },
    "a-status-that-is-no-text": {
        "json": b'{"type":"ONLINE_USERS","users":{"ann":"here","bo":true}}\n',
        "msgpack": framed(b"\x92\xacONLINE_USERS\x82\xa3ann\xa4here\xa2bo\xc3"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'here'\nS'bo'\nI01\nd.",
    },
    "bytes-for-a-text": {"msgpack": framed(b"\x92\xa5ERROR\xc4\x05plain")},
    "a-key-twice": {
        "ascii": b"ONLINE_USERS ann=here bo=a bo=b\n",
        "msgpack": framed(b"\x92\xacONLINE_USERS\x83\xa3ann\xa4here\xa2bo\xa1a\xa2bo\xa1b"),
        "pickle": b"ONLINE_USERS (S'ann'\nS'here'\nS'bo'\nS'a'\nS'bo'\nS'b'\nd.",
    },
}
"""Messages with wrong fields (CODEC-5)."""

WRONG_LISTS: Final[dict[str, Bytes]] = {
    "nothing-for-a-list": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":null}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\xc0"),
        "pickle": b"CONVERSATIONS (S'7'\nNd.",
    },
    "nothing-for-a-member": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":["ann",null]}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\x92\xa3ann\xc0"),
        "pickle": b"CONVERSATIONS (S'7'\n(S'ann'\nNld.",
    },
    "a-map-for-a-list": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":{"ann":"x"}}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\x81\xa3ann\xa1x"),
        "pickle": b"CONVERSATIONS (S'7'\n(S'ann'\nS'x'\ndd.",
    },
    "a-text-for-a-list": {
        "json": b'{"type":"CONVERSATIONS","conversations":{"7":"ann"}}\n',
        "msgpack": framed(b"\x92\xadCONVERSATIONS\x81\xa17\xa3ann"),
        "pickle": b"CONVERSATIONS (S'7'\nS'ann'\nd.",
    },
}
"""CONVERSATIONS with wrong fields, for a client that waits for the list."""

LOST: Final[dict[str, Bytes]] = {
    "small-letters": {"pickle": b"error S'plain'\n."},
    "an-opcode-off-the-list": {"pickle": b"ERROR cos\nsystem\n(S'true'\ntR."},
    "an-open-mark": {"pickle": b"ERROR ((S'plain'\nl."},
    "a-memo-that-was-not-put": {"pickle": b"ERROR g7\n."},
    "five-levels": {"pickle": b"PING (((((lllll."},
    "python-3-bytes": {"pickle": b"ERROR C\x05plain."},
    "the-whole-message-in-a-pickle": {"pickle": b"(S'ERROR'\nS'plain'\nl."},
    "a-line-without-an-end": {"pickle": b"ERROR S'plain\n."},
}
"""What loses the framing (CLIENT-18)."""
