"""Structured logs: events in the past tense with fields, as JSON lines or as text for a terminal.

No part of Tussle reads a log to decide anything. A log must never contain a secret.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from tussle.lobby.settings import Settings

__all__ = ["configure", "get_logger", "json_formatter", "short"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

_JSON: list[structlog.typing.Processor] = [
    structlog.processors.format_exc_info,
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
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
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
