"""The HTTP API as an OpenAPI 3.1 document, made from the same Structs that the requests are decoded with.

    GET /openapi.json     for people, code generators and the fuzzer (tests/security/test_http_fuzz.py)

The entries come from the same table as the routes (server/http/endpoints.py), the schemas of answers from
server/http/answer_schemas.py. This module must never describe a schema that the server or a test does not check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tussle.server.http.answer_schemas import ANSWERS, Answered
from tussle.server.http.endpoints import Endpoint
from tussle.server.http.json_schemas import components

__all__ = ["document"]

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "stable, for programs; docs/protocol.md lists them"},
        "field": {
            "type": "string",
            "description": "the field of the body, or the parameter, that is refused",
        },
        "retry_after": {"type": "number", "description": "when the same call may succeed [s]"},
    },
}


def document(endpoints: Iterable[Endpoint], *, version: str) -> dict[str, Any]:
    """The document of all endpoints that have a summary."""
    calls = [endpoint for endpoint in endpoints if endpoint.summary]
    bodies = [call.body for call in calls if call.body is not None]
    answered = [ANSWERS[call.method, call.path] for call in calls]
    types = [kind for answer in answered for kind in (answer.type, answer.or_type) if kind is not None]
    made, schemas = components(bodies, types)
    shown = dict(zip(map(repr, types), made[len(bodies) :], strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for call, answer in zip(calls, answered, strict=True):
        described = _operation(call, _content(answer, shown), answer.status)
        paths.setdefault(call.path.replace(":path", ""), {})[call.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tussle", "version": version, "license": {"name": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM},
            "securitySchemes": {"login": {"type": "http", "scheme": "bearer"}},
        },
    }


def _content(answer: Answered, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The media types of an answer, JSON with its schema."""
    kinds = [shown[repr(kind)] for kind in (answer.type, answer.or_type) if kind is not None]
    schema: dict[str, Any] = {"anyOf": kinds} if len(kinds) > 1 else kinds[0] if kinds else {}
    return {media: {"schema": schema} if schema else {} for media in answer.media}


def _operation(call: Endpoint, content: Mapping[str, Any], status: int) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", call.path.replace("/api/", "").replace(":path", "")).strip("_")
    operation: dict[str, Any] = {
        "operationId": f"{call.method.lower()}_{name}",
        "summary": call.summary,
        "security": [] if call.public else [{"login": []}],
        "responses": {str(status): {"description": "done", "content": content}},
    }
    parameters = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in re.findall(r"{(\w+)", call.path)
    ]
    parameters += [
        {"name": key, "in": "query", "description": meaning, "schema": {"type": "string"}}
        for key, meaning in call.query.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    errors = set(call.errors) | {429, 503}
    if not call.public:
        errors |= {401}
    if call.body is not None:
        errors |= {400, 403}
        operation["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{call.body.__name__}"}}
            },
        }
    for status in sorted(errors):
        operation["responses"][str(status)] = {
            "description": "a problem document",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return operation
