"""A logger for each object, below the logger of its module."""

from __future__ import annotations

import logging


def instance_logger(name: str, level: int) -> logging.Logger:
    """Return a new child of the logger ``name``, with its own level.

    Two objects that share a logger share its level: the one that was made last decides
    for both. This logger is not registered, so it goes with its object; its messages
    reach the handlers of ``name`` and of the loggers above.
    """
    logger = logging.Logger(name, level)
    logger.parent = logging.getLogger(name)
    return logger
