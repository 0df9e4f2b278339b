"""What the encoding of bytes that aren't clean UTF-8 looks like: a hint for people, never acted upon."""

import codecs
import string

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"\x1f\x8b": "gzip (.gz)",
    b"\x28\xb5\x2f\xfd": "zstandard (.zst)",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "parquet",
    b"%PDF": "a PDF",
}
SAMPLE_BYTES = 4096
LEAST_BYTES = 8
MOSTLY = 0.6
LATIN = 0.75
LATIN_LETTERS = (string.ascii_letters + " ").encode()


def looks_like(raw: bytes) -> str | None:
    """The likely encoding or file type of a sample, or None.

    Order of evidence: a mark at the start; NUL at every second byte (UTF-16); bytes in pairs from 0xA1 (GB 2312, the
    core of GB 18030); pairs that are Chinese characters in UTF-16; else a Western single-byte encoding.
    """
    for mark, name in MARKS.items():
        if raw.startswith(mark):
            return name
    sample = raw[:SAMPLE_BYTES]
    if 0 in sample:
        return _by_zeros(sample)
    if _paired_share(sample) > MOSTLY and _decodes(sample, "gb18030"):
        return "gb18030"
    for name in ("utf-16-le", "utf-16-be"):
        # Two Latin letters are a Chinese character in UTF-16, so the sample must not be Latin text.
        if len(sample) >= LEAST_BYTES and _latin_share(sample) < LATIN and _chinese_share(sample, name) > MOSTLY:
            return name
    return None if _decodes(sample, "utf-8") else "latin-1 or cp1252"


def _by_zeros(sample: bytes) -> str | None:
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < 2 or min(even, odd) * 4 > max(even, odd):
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _paired_share(sample: bytes) -> float:
    """The share of the non-ASCII bytes that stand in pairs of two high bytes."""
    high = paired = index = 0
    while index < len(sample):
        step = 1
        if sample[index] >= 0x80:
            if sample[index] >= 0xA1 and index + 1 < len(sample) and sample[index + 1] >= 0xA1:
                paired, step = paired + 2, 2
            high += step
        index += step
    return paired / high if high else 0.0


def _chinese_share(sample: bytes, encoding: str) -> float:
    text = sample[: len(sample) // 2 * 2].decode(encoding, errors="replace")
    return sum("\u4e00" <= character <= "\u9fff" for character in text) / max(1, len(text))


def _decodes(sample: bytes, encoding: str) -> bool:
    """Whether it decodes, apart from a character that the end of the sample cuts."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _latin_share(sample: bytes) -> float:
    return sum(byte in LATIN_LETTERS for byte in sample) / max(1, len(sample))
