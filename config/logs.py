"""JSON log lines on standard error, the same for web and workers, one object a line.

Ids travel in structlog's context (`request_id`, `version_id`, `task_id`); payloads are never logged.
"""

from typing import Any

import structlog

_PERSONAL = ("user_agent", "ip")  # the audit log has them, encrypted


_CHORES = {"audit.sweep"}  # every second; only what goes wrong in them is told


def _without_chores(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    if event.get("level") == "info" and {event.get("task"), event.get("child_task_name")} & _CHORES:
        raise structlog.DropEvent
    return event


def _without_personal(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in _PERSONAL}


def _without_query(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """A query holds what people look for, and now and then a token that belongs into a header."""
    if isinstance(request := event.get("request"), str):
        event["request"] = request.partition("?")[0]
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    _without_personal,
    _without_query,
    structlog.stdlib.add_log_level,
    _without_chores,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(level: str) -> dict[str, Any]:
    """Take the least level to show; return Django's LOGGING and configure structlog itself."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*_SHARED, structlog.stdlib.ExtraAdder()],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},  # 4xx are answers, not events
            "django.security.DisallowedHost": {"level": "CRITICAL"},  # strangers' noise
            "celery.app.trace": {"level": "WARNING"},  # django-structlog says the same
            "celery.beat": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
            "boto3": {"level": "WARNING"},
        },
    }
