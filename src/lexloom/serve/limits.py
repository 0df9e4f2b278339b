"""Every limit of the server, in one place; what exceeds one is told its name and its number."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request, one key and all of them together may take."""

    connections: int = 512
    """Open connections; further ones are closed at once."""
    header_bytes: int = 16_384
    """The request line and headers of one request."""
    header_s: float = 10.0
    """Seconds from the connection, or from the answer before, until the headers are there."""
    body_bytes: int = 2_000_000
    """One request's body."""
    body_s: float = 20.0
    """Seconds from the headers until the body is there."""
    send_s: float = 30.0
    """Seconds for which a client may not read what is sent to it."""
    json_depth: int = 32
    """Arrays and objects inside one another."""
    json_digits: int = 20
    """Digits of a whole number."""
    text_bytes: int = 262_144
    """One text, in UTF-8."""
    texts: int = 256
    """Texts in one request."""
    messages: int = 1_024
    """Messages of a conversation."""
    choices: int = 16
    """Texts written in answer to one request: prompts × n."""
    candidates: int = 64
    """Texts to choose from, and candidates for a mask."""
    beams: int = 16
    """Beams of one search."""
    reply_tokens: int = 32_768
    """New tokens of one text; the model's context is a limit, too."""
    top_logprobs: int = 20
    """Tokens told of beside each that was chosen."""
    format_bytes: int = 65_536
    """The JSON schema, regular expression or choices that an answer is to fit."""
    concurrent: int = 256
    """Requests under way; further ones are told to come back."""
    concurrent_per_key: int = 128
    """Requests under way that come with the same key."""
    tokens: int = 32_768
    """Tokens of prompts and replies that one model works on at a time; at least its context."""
    queue: int = 128
    """Texts that wait for a model."""
    requests_per_minute: int = 60_000
    """Requests that come with the same key."""
    deadline_s: float = 600.0
    """Seconds from the body until the answer is complete."""
    stuck_s: float = 300.0
    """Seconds for one step of a model, after which it counts as failed."""
    drain_s: float = 30.0
    """Seconds that running requests are given when the server is told to end."""


MIN_KEY_CHARACTERS = 16
"""A shorter key could be guessed."""
