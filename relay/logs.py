"""Log lines on stderr, for people or for machines: structlog's and those of the libraries' own loggers."""

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Literal, TextIO

import structlog
from structlog.typing import ExcInfo, Processor


def configure_logs(log_format: Literal["text", "json"], *, level: int = logging.INFO) -> None:
    """Called once, by the command line. Libraries speak from WARNING up; tracebacks show no values."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    for_people = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=_write_traceback
    )
    for_machines: list[Processor] = [
        structlog.processors.ExceptionRenderer(_traceback),
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(for_machines if log_format == "json" else [for_people]),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("relay").setLevel(level)


def _traceback(exc_info: ExcInfo) -> str:
    """Kinds and places, without the exceptions' own words: those may quote what a visitor sent, or a secret."""
    return "\n".join(_lines(exc_info[1]))


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    out.write("\n" + _traceback(exc_info))


def _lines(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is not None:
            yield "which came of:"
