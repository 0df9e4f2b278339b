"""How well colours stand out from one another, by WCAG 2.2; a colour is (red, green, blue), each from 0 to 1."""

import re
from dataclasses import dataclass

Colour = tuple[float, ...]

TEXT_AT_LEAST = 4.5
"""1.4.3, for text."""
SIGN_AT_LEAST = 3.0
"""1.4.11, for edges of controls and signs that mean something."""
SCHEMES = ("light", "dark")


@dataclass(frozen=True)
class Palette:
    """The variables that a style sheet declares for light and dark."""

    style: str

    def colours(self, scheme: str) -> dict[str, Colour]:
        """Name → colour."""
        named = self._declared(scheme, "(#[0-9a-f]{6})")
        return {name: rgb(value) for name, value in named.items()}

    def shares(self, scheme: str) -> dict[str, float]:
        """Name → share of 1."""
        return {name: int(value) / 100 for name, value in self._declared(scheme, "([0-9]+)%").items()}

    def _declared(self, scheme: str, value: str) -> dict[str, str]:
        blocks = re.findall(
            r"(?m)(^|@media \(prefers-color-scheme: dark\) \{\s*):root \{(.*?)\}", self.style, re.DOTALL
        )
        found: dict[str, str] = {}
        for dark, block in blocks:
            if not dark or scheme == "dark":
                found |= re.findall(rf"--([\w-]+): {value};", block)
        return found


def rgb(written: str) -> Colour:
    """`#rrggbb` as a colour."""
    return tuple(int(written[at : at + 2], 16) / 255 for at in (1, 3, 5))


def contrast(one: Colour, two: Colour) -> float:
    """From 1, no difference, to 21, black on white."""
    brighter, darker = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def mixed(over: Colour, under: Colour, share: float) -> Colour:
    """What is seen where a share of one colour lies over another."""
    return tuple(share * one + (1 - share) * two for one, two in zip(over, under, strict=True))


def _luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
