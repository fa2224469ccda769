"""What terminals and logs show of a peer's text."""

import unicodedata

__all__ = ["escaped"]


def escaped(text: str) -> str:
    r"""Write controls, direction changes and what cannot be printed as escapes like \x1b (CONN-30, CLIENT-22)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if letter == " " or unicodedata.category(letter)[0] not in "CZ" else ascii(letter)[1:-1]
        for letter in text
    )
