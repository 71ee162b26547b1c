"""The HTTP API as an OpenAPI 3.1 document, made from the same Structs that the requests are decoded with.

    GET /openapi.json     for people, code generators and the fuzzer (tests/security/test_http_fuzz.py)

The entries come from the same table as the routes (server/http/endpoints.py). This module must never describe a schema
that the server does not check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from tussle.server.http.endpoints import Endpoint

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
        "field": {"type": "string"},
    },
}


def document(endpoints: Iterable[Endpoint], *, version: str) -> dict[str, Any]:
    """The document of all endpoints that have a summary."""
    calls = [endpoint for endpoint in endpoints if endpoint.summary]
    bodies = [call.body for call in calls if call.body is not None]
    _, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.path.replace(":path", ""), {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tussle", "version": version, "license": {"name": "MIT"}},
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM},
            "securitySchemes": {"login": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: Endpoint) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", call.path.replace("/api/", "").replace(":path", "")).strip("_")
    operation: dict[str, Any] = {
        "operationId": f"{call.method.lower()}_{name}",
        "summary": call.summary,
        "security": [] if call.public else [{"login": []}],
        "responses": {"200": {"description": "done"}},
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
