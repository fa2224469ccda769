"""Tests of the json codec on every kind of JSON that parsers are known to differ about.

Each case stands in a member that GOODBYE does not have, which a receiver ignores if it is JSON (JSON-11), or is a
whole payload.
"""

import pytest

from improto.codec import load
from improto.errors import DecodeError
from improto.messages import Code, Goodbye, Role, Status

ACCEPTED = {
    # Numbers
    "number zero": b"0",
    "number minus zero": b"-0",
    "number integer": b"1234567890",
    "number negative": b"-1",
    "number fraction": b"0.5",
    "number fraction of zeros": b"1.000",
    "number small exponent": b"1e2",
    "number capital exponent": b"1E2",
    "number exponent with plus": b"1e+2",
    "number exponent with minus": b"1e-2",
    "number exponent with leading zeros": b"1e0002",
    "number fraction and exponent": b"-12.5e-7",
    "number above all doubles": b"1e400",
    "number below all doubles": b"-1e400",
    "number nearest to zero": b"1e-400",
    "number of an exponent that is huge": b"1e99999999999999999999",
    "number above 64 bits": b"18446744073709551616",
    "number of 5,000 digits": b"9" * 5000,
    "number of 5,000 digits behind the point": b"0." + b"3" * 5000,
    # Strings
    "string empty": b'""',
    "string of one space": b'" "',
    "string with all short escapes": rb'"\"\\\/\b\f\n\r\t"',
    "string with an escaped NUL": rb'"\u0000"',
    "string with an escaped control": rb'"\u001F"',
    "string with an escaped DEL": rb'"\u007f"',
    "string with a raw DEL": b'"\x7f"',
    "string with an escape in small letters": rb'"\uabcd"',
    "string with an escape in mixed case": rb'"\uAbCd"',
    "string with a pair of escapes": rb'"\uD83D\uDE00"',
    "string with the first and the last pair": rb'"\uD800\uDC00\uDBFF\uDFFF"',
    "string with an escaped noncharacter": rb'"\uFFFF"',
    "string with an escaped byte order mark": rb'"\uFEFF"',
    "string that ends in an escaped backslash": rb'"\\"',
    "string with a backslash before a u": rb'"\\ud83d"',
    "string with signs of structure": b'"[{]}:,"',
    "string with a solidus": b'"/"',
    "string with quotes of other kinds": b'"\'`"',
    "string of two bytes a character": "é".encode().join([b'"', b'"']),
    "string of three bytes a character": "在".encode().join([b'"', b'"']),
    "string of four bytes a character": "😀".encode().join([b'"', b'"']),
    "string with a raw byte order mark": b'"\xef\xbb\xbf"',
    "string with raw line separators": b'"\xe2\x80\xa8\xe2\x80\xa9"',
    "string with a raw C1 control": b'"\xc2\x85"',
    "string with a raw noncharacter": b'"\xef\xbf\xbf\xf4\x8f\xbf\xbf"',
    # Structure
    "structure null": b"null",
    "structure true": b"true",
    "structure false": b"false",
    "structure empty array": b"[]",
    "structure empty object": b"{}",
    "structure array of all kinds": b'[null,true,0,"",[],{}]',
    "structure array with space": b" [ 1 , 2 ] ",
    "structure white space of all kinds": b"\t\r\n [\t\r\n ]\t\r\n ",
    "structure empty key": b'{"":0}',
    "structure escaped key": rb'{"\u0000\n":0}',
    "structure key twice": b'{"a":0,"a":1}',
    "structure 10,000 keys": b"{" + b",".join(b'"%d":0' % number for number in range(10_000)) + b"}",
    "structure four levels": b"[[[]]]",
    "structure four levels of objects": b'{"a":{"a":{}}}',
    "structure brackets side by side": b"[" + b"[],{}," * 100 + b"[]]",
}
"""Values, by kind and what is special."""

MALFORMED = {
    # Numbers
    "number with a plus": b"+1",
    "number with a leading zero": b"01",
    "number with a leading zero behind minus": b"-01",
    "number of two zeros": b"00",
    "number minus": b"-",
    "number two minuses": b"--1",
    "number minus and space": b"- 1",
    "number without a digit ahead of the point": b".5",
    "number without a digit behind the point": b"5.",
    "number with two points": b"1.2.3",
    "number with a point before the exponent": b"1.e2",
    "number with an empty exponent": b"1e",
    "number with an exponent of a sign": b"1e+",
    "number with an exponent with a fraction": b"1e2.5",
    "number with two exponents": b"1e2e3",
    "number exponent alone": b"e2",
    "number hexadecimal": b"0x1F",
    "number octal": b"0o17",
    "number binary": b"0b1",
    "number with underscores": b"1_000",
    "number with commas": b"1,000",
    "number with spaces": b"1 000",
    "number with a letter behind": b"1a",
    "number of fullwidth digits": "\uff11".encode(),
    "number of Arabic digits": "\u0661".encode(),
    "number NaN": b"NaN",
    "number nan": b"nan",
    "number Infinity": b"Infinity",
    "number minus Infinity": b"-Infinity",
    "number plus Infinity": b"+Infinity",
    "number inf": b"inf",
    "number minus NaN": b"-NaN",
    "number NaN in an array": b"[NaN]",
    # Strings
    "string in single quotes": b"'a'",
    "string in curly quotes": "“a”".encode(),
    "string without quotes": b"a",
    "string without an end": b'"a',
    "string without a beginning": b'a"',
    "string that ends in a backslash": rb'"\"',
    "string of three quotes": b'"""',
    "string with a raw NUL": b'"\x00"',
    "string with a raw tab": b'"\t"',
    "string with a raw line feed": b'"\n"',
    "string with a raw carriage return": b'"\r"',
    "string with a raw unit separator": b'"\x1f"',
    "string with an unknown escape": rb'"\a"',
    "string with an escaped single quote": rb'"\'"',
    "string with a hexadecimal escape": rb'"\x41"',
    "string with an octal escape": rb'"\101"',
    "string with an escaped NUL of C": rb'"\0"',
    "string with a long escape": rb'"\U0001F600"',
    "string with an escape in braces": rb'"\u{1F600}"',
    "string with an escaped line feed": b'"\\\n"',
    "string with an escaped emoji": '"\\😀"'.encode(),
    "string with an escape of three digits": rb'"\u00e"',
    "string with an escape of no digits": rb'"\u"',
    "string with an escape of other letters": rb'"\u00g0"',
    "string with an escape of a sign": rb'"\u+123"',
    "string with an escape of a space": rb'"\u 123"',
    "string with an escape of fullwidth digits": '"\\u\uff10\uff10\uff14\uff11"'.encode(),
    "string with a first half alone": rb'"\uD83D"',
    "string with a second half alone": rb'"\uDE00"',
    "string with halves in reverse": rb'"\uDE00\uD83D"',
    "string with two first halves": rb'"\uD83D\uD83D"',
    "string with a letter between halves": rb'"\uD83D-\uDE00"',
    "string with a half and a short escape": rb'"\uD83D\n"',
    "string with a half and a broken escape": rb'"\uD83D\uDE0"',
    "string with half a character as a key": rb'{"\uD83D":0}',
    # Encodings
    "encoding lone continuation": b'"\x80"',
    "encoding Latin-1": b'"caf\xe9"',
    "encoding cut off by the quote": b'"\xe5\x9c"',
    "encoding over-long solidus": b'"\xc0\xaf"',
    "encoding over-long NUL": b'"\xc0\x80"',
    "encoding over-long in three bytes": b'"\xe0\x80\xaf"',
    "encoding over-long in four bytes": b'"\xf0\x80\x80\xaf"',
    "encoding raw first half": b'"\xed\xa0\xbd"',
    "encoding raw pair of halves (CESU-8)": b'"\xed\xa0\xbd\xed\xb8\x80"',
    "encoding above U+10FFFF": b'"\xf4\x90\x80\x80"',
    "encoding five bytes": b'"\xf8\x88\x80\x80\x80"',
    "encoding FE and FF": b'"\xfe\xff"',
    "encoding bad byte outside of strings": b"[\xff]",
    "encoding no-break space as white space": b"[\xc2\xa0]",
    "encoding byte order mark as white space": b"[\xef\xbb\xbf]",
    "encoding line separator as white space": b"[\xe2\x80\xa8]",
    # Structure
    "structure nothing": b"",
    "structure True": b"True",
    "structure NULL": b"NULL",
    "structure cut off null": b"nul",
    "structure undefined": b"undefined",
    "structure null with a letter behind": b"nulls",
    "structure array open": b"[1",
    "structure array open behind a comma": b"[1,",
    "structure array closed twice": b"[1]]",
    "structure array closed as an object": b"[1}",
    "structure object closed as an array": b'{"a":1]',
    "structure array with a comma at the end": b"[1,]",
    "structure array with a comma ahead": b"[,1]",
    "structure array with two commas": b"[1,,2]",
    "structure array of a comma": b"[,]",
    "structure array without a comma": b"[1 2]",
    "structure array with a colon": b"[1:2]",
    "structure array with a semicolon": b"[1;2]",
    "structure object with a comma at the end": b'{"a":1,}',
    "structure object with a comma ahead": b'{,"a":1}',
    "structure object with two commas": b'{"a":1,,"b":2}',
    "structure object without a colon": b'{"a" 1}',
    "structure object with two colons": b'{"a"::1}',
    "structure object with an equals sign": b'{"a"=1}',
    "structure object with an arrow": b'{"a"=>1}',
    "structure object without a value": b'{"a":}',
    "structure object without a key": b"{:1}",
    "structure object of a key": b'{"a"}',
    "structure object of two values": b'{"a":1 2}',
    "structure object with a bare key": b"{a:1}",
    "structure object with a key in single quotes": b"{'a':1}",
    "structure object with a number as a key": b"{1:1}",
    "structure object with null as a key": b"{null:1}",
    "structure object with an array as a key": b"{[]:1}",
    "structure comment": b"/* a */ 1",
    "structure comment at the line's end": b"1 // a",
    "structure comment of a script": b"1 # a",
    "structure form feed as white space": b"[\x0c]",
    "structure vertical tab as white space": b"[\x0b]",
    "structure NUL behind": b"1\x00",
    "structure backslash as white space": rb"[\n]",
    "structure capital escape of a letter": rb"[\u0031]",
    "structure call": b"a(1)",
    "structure template": b"{{a}}",
    "structure XML": b"<a/>",
    "structure five levels": b"[[[[]]]]",
    "structure five levels of both": b'{"a":[{"a":[]}]}',
    "structure 100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "structure 100,000 open arrays": b"[" * 100_000,
    "structure 100,000 open objects": b'{"a":' * 100_000,
}
"""Values, by kind and what is special."""

GOODBYE = b'{"type":"GOODBYE"}'
NO_MESSAGES = {
    "nothing": b"",
    "white space": b" \t\r\n",
    "null": b"null",
    "a number": b"1",
    "a string": b'"GOODBYE"',
    "an array": b'["GOODBYE"]',
    "an array of a message": b"[" + GOODBYE + b"]",
    "an empty object": b"{}",
    "a type that is null": b'{"type":null}',
    "a type that is a list": b'{"type":["GOODBYE"]}',
    "two messages": GOODBYE + GOODBYE,
    "two messages with a comma": GOODBYE + b"," + GOODBYE,
    "a bracket behind": GOODBYE + b"]",
    "a letter behind": GOODBYE + b"x",
    "a NUL behind": GOODBYE + b"\0",
    "a comma behind": GOODBYE + b",",
    "a comment behind": GOODBYE + b"//",
    "a semicolon behind": GOODBYE + b";",
    "a byte order mark ahead": b"\xef\xbb\xbf" + GOODBYE,
    "a byte order mark behind": GOODBYE + b"\xef\xbb\xbf",
    "UTF-16, most significant byte first": GOODBYE.decode().encode("utf-16-be"),
    "UTF-16, least significant byte first": GOODBYE.decode().encode("utf-16-le"),
    "UTF-16 with a byte order mark": GOODBYE.decode().encode("utf-16"),
    "UTF-32": GOODBYE.decode().encode("utf-32-be"),
    "an end that is missing": GOODBYE[:-1],
    "a quote that is missing": b'{"type":"GOODBYE}',
    "a prefix against scripts": b")]}'\n" + GOODBYE,
    "a call around": b"f(" + GOODBYE + b")",
}
"""Whole payloads that are malformed."""

MESSAGES = {
    "white space of all kinds around": b" \t\r\n" + GOODBYE + b"\n\r\t ",
    "a type written in escapes": rb'{"\u0074ype":"GOOD\u0042YE"}',
    "a type twice": b'{"type":"JOIN","type":"GOODBYE"}',
    "a member of the same name further in": b'{"type":"GOODBYE","x":{"type":"JOIN"}}',
}
"""Whole payloads that are GOODBYE.  Of two keys of one name the reference takes the last (JSON-14)."""


def wrapped(value: bytes) -> bytes:
    """Put a value into a member that GOODBYE does not have."""
    return b'{"type":"GOODBYE","x":' + value + b"}"


@pytest.mark.parametrize("payload", [*map(wrapped, ACCEPTED.values()), *MESSAGES.values()], ids=[*ACCEPTED, *MESSAGES])  # fmt: skip
def test_json_is_read(payload: bytes) -> None:
    """Whatever is JSON may stand in what is ignored, and changes nothing (JSON-6, JSON-11)."""
    assert load("json").decode(payload, Role.CLIENT) == Goodbye()


@pytest.mark.parametrize("payload", [*map(wrapped, MALFORMED.values()), *NO_MESSAGES.values()], ids=[*MALFORMED, *NO_MESSAGES])  # fmt: skip
def test_what_is_no_json_is_malformed(payload: bytes) -> None:
    """What is no JSON, or nests too deeply, or holds a lone surrogate, is malformed, also in what is ignored, and the
    framing stays intact (JSON-7 to JSON-10, LIMIT-17, LIMIT-24).
    """
    with pytest.raises(DecodeError) as caught:
        load("json").decode(payload, Role.CLIENT)
    assert caught.value.code == Code.MALFORMED
    assert not caught.value.fatal


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED)
def test_only_strings_are_texts(value: bytes) -> None:
    """In the place of a text a string is read, and whatever else is JSON is invalid (JSON-13)."""
    payload = b'{"type":"STATUS","status":' + value + b"}"
    if value.startswith(b'"'):
        assert isinstance(load("json").decode(payload, Role.CLIENT), Status)
        return
    with pytest.raises(DecodeError) as caught:
        load("json").decode(payload, Role.CLIENT)
    assert caught.value.code == Code.INVALID
