"""`ascii.abnf`: the grammar of one line in the ascii codec, as ABNF (RFC 5234, RFC 7405).

Which commands there are, and what each takes, comes from the table; how fields, items and strings are written is the
fixed text below.
"""

from collections.abc import Mapping
from typing import Final

from improto.limits import Limits
from improto.messages import COMMANDS, AnyMessage, Kind

__all__ = ["render"]

_HEAD: Final = """\
; One message in the ascii codec, as a line on a byte stream: ABNF of RFC 5234 and RFC 7405.
;
; A receiver tries the rule `line` first, then the rule `other` (ASCII-10, ASCII-11):
;   a line that fits `line` is a message, or it is blank and skipped (ASCII-3);
;   a line that fits only `other` is `invalid` if the receiver understands its command, else `unknown-command`;
;   a line that fits neither is `malformed`.
; The grammar does not express two rules: a map that has a key twice is `invalid` (CODEC-10), and a command that only
; the receiver's own side sends is `unknown-command`.
;
; Receivers accept several forms of a message.  Senders write one of them, the canonical form (ASCII-12):
;   there is one space between two parts, none before and after them, and LF ends the line;
;   a field is a `word` and an item is an `atom` if the text allows it, and else `quoted`;
;   in `quoted`, printable ASCII stands for itself, apart from the quote and the backslash.  All other characters are
;   escaped: with a short escape such as \\n if there is one, else with \\u and lower-case hexadecimal digits, and above
;   U+FFFF with a pair of surrogates.
; So empty text is `""`, an empty map is the bare command, an empty list in a map is `7=`, and an empty status in a
; map is `bo=""` (ASCII-8).

line     = *SP [message *SP] [CR] LF
other    = *SP command *field *SP [CR] LF
payload  = *SP message *SP                   ; instead of `line` on a message transport: CODEC-9, WS-1
"""

_RULES: Final = r"""
command  = 1*20(%x41-5A / "_")               ; of any name, known or not: CODEC-4

field    = 1*SP (word / quoted)
entry    = 1*SP item "=" item                ; of a map to texts
entries  = 1*SP item "=" [item *("," item)]  ; of a map to lists, which may be empty
item     = atom / quoted

; A backslash in a word or an atom means itself (ASCII-6).
word     = wstart *(%x21 / %x23-7E)          ; printable, without space and quote
wstart   = %x21 / %x23-27 / %x2A-5A / %x5C / %x5E-7A / %x7C / %x7E
                                             ; nor with a bracket at its start: ( ) [ ] { }
atom     = 1*(%x21 / %x23-2B / %x2D-3C / %x3E-7E)
                                             ; printable, without space, quote, comma and equals sign

; A string of JSON that is written in printable ASCII (ASCII-4).
quoted   = DQUOTE *(%x20-21 / %x23-5B / %x5D-7E / escape) DQUOTE
escape   = "\" (DQUOTE / "\" / "/" / %s"b" / %s"f" / %s"n" / %s"r" / %s"t" / %s"u" code)
code     = bmp / high "\" %s"u" low          ; one character, never half of one (ASCII-9)
bmp      = (DIGIT / "A" / "B" / "C" / "E" / "F") 3HEXDIG / "D" %x30-37 2HEXDIG
high     = "D" ("8" / "9" / "A" / "B") 2HEXDIG
low      = "D" ("C" / "D" / "E" / "F") 2HEXDIG
"""

# What stands for a field of each kind, if not one `field` (ASCII-7, LIMIT-14).
_FORMS: Final[Mapping[Kind, str]] = {
    Kind.NAMES: f"1*{Limits().invited}field",
    Kind.ROSTER: "*entry",
    Kind.CONVERSATIONS: "*entries",
}


def render() -> str:
    """Give the text of `ascii.abnf`."""
    alternatives = "\n         / ".join(map(_alternative, COMMANDS.values()))
    return f"{_HEAD}\nmessage  = {alternatives}\n{_RULES}"


def _alternative(message: type[AnyMessage]) -> str:
    """Give what the grammar has of one command, and as a comment what its fields are called."""
    parts = [f'%s"{message.COMMAND}"', *(_FORMS.get(field.kind, "field") for field in message.FIELDS)]
    names = ", ".join(field.name for field in message.FIELDS)
    return f"{' '.join(parts):<33} ; {names}".removesuffix(" ; ").rstrip()
