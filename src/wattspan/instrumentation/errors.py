"""The error types of exceptions in a program built on the `ocpp` package."""

import asyncio

from ocpp.exceptions import OCPPError


def error_of(exc: BaseException) -> str:
    """Return the error type of an exception: OCPP's code if it has one."""
    if isinstance(exc, OCPPError):
        return str(getattr(exc, "code", "GenericError"))
    if isinstance(exc, asyncio.TimeoutError):
        return "Timeout"
    if isinstance(exc, asyncio.CancelledError):
        return "Cancelled"
    if isinstance(exc, OSError) or "Connection" in type(exc).__name__ or "Disconnect" in type(exc).__name__:
        return "ConnectionLost"
    return "InternalError"
