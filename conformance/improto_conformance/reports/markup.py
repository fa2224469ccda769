"""Elements of HTML and SVG, in which texts cannot become markup: `el("p", "said ", el("code", text), class_="note")`."""

from xml.etree.ElementTree import Element, tostring

from improto.cli.text import escaped

__all__ = ["Element", "el", "html"]


def el(tag: str, *children: Element | str, **attributes: str | float) -> Element:
    """Make an element; in the names of attributes, `_` stands for `-`, and a `_` at the end is left out."""
    made = Element(tag)
    for name, value in attributes.items():
        made.set(
            name.rstrip("_").replace("_", "-"), _shown(value) if isinstance(value, str) else f"{value:g}"
        )
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _shown(child)
        else:
            made.text = (made.text or "") + _shown(child)
    return made


def html(root: Element) -> str:
    """Give the text of a whole page."""
    return f"<!DOCTYPE html>\n{tostring(root, encoding='unicode', method='html')}\n"


def _shown(text: str) -> str:
    """Escape characters that cannot be shown, except line ends."""
    return "\n".join(map(escaped, text.split("\n")))
