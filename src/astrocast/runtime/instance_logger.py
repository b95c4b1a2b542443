"""A logger for each object, below the logger of its module."""

from __future__ import annotations

import logging


def instance_logger(name: str, level: int) -> logging.Logger:
    """Return a new child of the logger ``name``, with its own level.

    With a shared logger, the level of the last object would apply to all objects. This
    logger is not registered, so it is deleted with its object; its messages reach the
    handlers of ``name`` and of the loggers above it.
    """
    logger = logging.Logger(name, level)
    logger.parent = logging.getLogger(name)
    return logger
