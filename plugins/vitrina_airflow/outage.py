"""Which errors say that a server paused, so that the same work may succeed in a minute.

Told by name, since parsing a DAG must not import the libraries that they come from.
"""

from __future__ import annotations

PAUSES = frozenset(
    {
        "builtins.ConnectionError",
        "builtins.TimeoutError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "requests.exceptions.ChunkedEncodingError",
        "_duckdb.HTTPException",
        "py4j.protocol.Py4JNetworkError",
    }
)
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


def is_outage(error: BaseException) -> bool:
    """Return whether a server, or the lake's object store, did not answer or could not."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    # The lake's library passes on what its store said as a plain OSError.
    return bool(kinds & PAUSES) or type(error) is OSError or _is_refusal_for_now(status_of(error))


def status_of(error: BaseException) -> int:
    """Return the HTTP status that an error of requests or MLflow carries, 0 if none."""
    answer = getattr(error, "response", None)
    told = getattr(error, "get_http_status_code", lambda: 0)()
    return int(told if answer is None else answer.status_code)


def _is_refusal_for_now(status: int) -> bool:
    return status >= SERVER_ERROR or status == TOO_MANY_REQUESTS
