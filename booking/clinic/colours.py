"""Whether a text in one colour can be read on another."""

import re

COLOUR = "#[0-9A-Fa-f]{6}"
READABLE = 4.5


def contrast(front: str, back: str) -> float:
    """How far two colours stand apart, from 1 to 21, as WCAG 2 counts; 21 if one is no colour."""
    if not (re.fullmatch(COLOUR, front) and re.fullmatch(COLOUR, back)):
        return 21.0
    darker, lighter = sorted((_luminance(front), _luminance(back)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)
