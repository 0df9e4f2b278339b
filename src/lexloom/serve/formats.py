"""What an answer has to fit: OpenAI's response formats as constraints of decoding."""

import json
from typing import Any

from lexloom.serve.errors import over
from lexloom.serve.schema import AnyJson, Format, JsonOfSchema, OneOf, PlainText
from lexloom.serve.service import Service


def constraint_of(service: Service, wanted: Format) -> Any:
    """The constraint of a format, None for plain text. Raises ApiError and UserError for one that can't be kept."""
    if isinstance(wanted, PlainText):
        return None
    limit = service.settings.limits.format_bytes
    if len(json.dumps(wanted.model_dump(), ensure_ascii=False).encode()) > limit:
        raise over("format_bytes", limit, "the format is too long", param="response_format")
    from lexloom.generate.constraints import choices, json_schema, regex

    if isinstance(wanted, AnyJson):
        return json_schema({"type": "object"})
    if isinstance(wanted, JsonOfSchema):
        return json_schema(wanted.json_schema.schema_)
    if isinstance(wanted, OneOf):
        return choices(wanted.choices)
    return regex(wanted.pattern)
