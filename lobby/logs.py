"""Structured logs: events in the past tense with fields, as JSON lines or as text for a terminal.

No code of Tussle depends on the content of a log. A log must never contain a secret.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson

from tussle.lobby.hidden_imports import hidden
from tussle.lobby.settings import Settings
from tussle.lobby.text import clip, escape_text

with hidden("rich"):  # for traces that are not used here
    import structlog

__all__ = ["configure", "get_logger", "json_formatter", "short"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


CLIPPED = 2000
"""Characters of a value that are logged. A longer one is cut off."""

TRACE = 8000
"""Characters of a trace that are logged: its first and last lines."""


def clip_values(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Cut long strings, and escape their control characters. A value may repeat what a client sent.

    Strings in lists and dicts are cut too; a value of another type that is long as text becomes its clipped text.
    """
    for name, value in event.items():
        if name == "exception":
            event[name] = _clip_trace(str(value))
        elif name not in ("_record", "_from_structlog", "exc_info") and not isinstance(
            value, bool | int | float
        ):
            event[name] = _clip_value(value)
    return event


def _clip_value(value: Any, depth: int = 3) -> Any:
    if isinstance(value, str):
        return escape_text(clip(value, CLIPPED))
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, dict):
        return {
            _clip_value(key, 0): _clip_value(inner, depth - 1) for key, inner in list(value.items())[:100]
        }
    if depth and isinstance(value, list | tuple):
        return [_clip_value(inner, depth - 1) for inner in value[:100]]
    return escape_text(clip(str(value), CLIPPED))


def _clip_trace(text: str) -> str:
    lines = [clip(line, 500) for line in text[: 50 * TRACE].splitlines()]
    text = "\n".join(escape_text(line) for line in lines)
    half = TRACE // 2
    return (
        text if len(text) <= TRACE else f"{text[:half]}\n... ({len(text) - TRACE} characters)\n{text[-half:]}"
    )


SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

_JSON: list[structlog.typing.Processor] = [
    structlog.processors.format_exc_info,
    clip_values,
    structlog.processors.JSONRenderer(
        serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
    ),
]


def json_formatter() -> logging.Formatter:
    """A formatter that writes a record, of structlog or of the standard library, as one JSON object."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_JSON],
    )


def _pretty_formatter() -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            clip_values,
            renderer,
        ],
    )


def configure(settings: Settings, *, process: str) -> None:
    """Send all records, those of the standard library included, to stdout in the format of LOG_FORMAT."""
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and sys.stdout.isatty())
    level = LEVELS[settings.log_level]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_pretty_formatter() if pretty else json_formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in (
        "numba",
        "asyncio",
        "websockets",
        "httpx",
        "httpcore",
        "matplotlib",
        "uvicorn",
        "uvicorn.error",
        "uvicorn.access",
        "fsspec",
    ):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)


def get_logger(name: str) -> Any:
    """The structured logger of that name."""
    return structlog.stdlib.get_logger(name)


def short(token: str) -> str:
    """The first four characters of a session token, for logs."""
    return token[:4]
