"""How byte-level tokenizers write bytes as letters (GPT-2, Radford et al. 2019, section 2.2)."""


def _byte_of() -> dict[str, int]:
    """GPT-2 writes bytes that aren't visible Latin-1 as the letters from U+0100 on, in order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + place): byte for place, byte in enumerate(hidden)}


BYTE_OF = _byte_of()
LETTERS = "".join(sorted(BYTE_OF, key=lambda letter: BYTE_OF[letter]))
"""The letter of each byte."""
