"""Checks of problem documents, the error responses of the HTTP API (RFC 9457)."""

from __future__ import annotations

from typing import Any

import httpx


def assert_problem(
    answer: httpx.Response, status: int, code: str, field: str | None = None
) -> dict[str, Any]:
    """The response is a problem document with this status, code and field, and without a traceback. Returns it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert {"type", "title", "detail"} <= problem.keys()
    assert field is None or problem["field"] == field
    assert "Traceback" not in answer.text
    return problem
