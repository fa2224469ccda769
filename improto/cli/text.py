"""How terminals and logs show text from peers."""

import unicodedata

__all__ = ["escaped"]


def escaped(text: str) -> str:
    r"""Turn controls, direction changes and all else that cannot be printed into escapes like \x1b (CONN-30, CLIENT-22)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if letter == " " or unicodedata.category(letter)[0] not in "CZ" else ascii(letter)[1:-1]
        for letter in text
    )
