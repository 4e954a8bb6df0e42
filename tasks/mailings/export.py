"""An audience leaves the lake: as a file that only its owner may read, or by an allowed webhook.

Nothing but ids leaves, of people who get a letter; control people are in neither.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Literal

import polars as pl

from tasks.errors import ContractViolation
from tasks.settings import Mailings

SEALED = re.compile(r"https://[^/]|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)")
"""Addresses that ids and a token may travel to: nobody on the way can read them."""
FILE = "file"
"""Where an audience goes that goes to no webhook."""
PRIVATE, PRIVATE_FOLDER = 0o600, 0o700
SECONDS = 60
TAKEN = range(200, 300)
REFUSED = range(300, 500)
TOO_MANY_REQUESTS = 429


def content(people: pl.DataFrame, form: Literal["csv", "parquet"]) -> bytes:
    """Return the file's bytes, the same for the same people."""
    target = io.BytesIO()
    if form == "csv":
        people.write_csv(target)
    else:
        people.write_parquet(target)
    return target.getvalue()


def write_private(path: Path, data: bytes) -> None:
    """Write a file at once, never half, that nobody but its owner may read."""
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(PRIVATE)
    draft.write_bytes(data)
    draft.replace(path)


def allowed(url: str, options: Mailings) -> str:
    """Return the address if an audience may be posted to it.

    Raises:
        ContractViolation: the settings do not name it, or others could read what is posted there.
    """
    if url not in options.webhooks:
        raise ContractViolation(
            f"deliver_to {url[:200]!r} is none of the {len(options.webhooks)} addresses of"
            " VITRINA_MAILINGS__WEBHOOKS; nothing was sent"
        )
    if not SEALED.match(url):
        raise ContractViolation(
            f"deliver_to {url[:200]!r} is neither https nor http of this machine: others could read"
            " the ids and the token; nothing was sent"
        )
    return url


def post(url: str, key: str, body: dict[str, object], options: Mailings) -> None:
    """Post an audience as JSON; `key` lets the receiver take one that comes twice for one.

    Raises:
        ContractViolation: the receiver refuses it; a redirect is not followed.
        requests.RequestException: it does not answer, or cannot for now.
    """
    import requests

    token = options.webhook_token
    headers = {"Idempotency-Key": key}
    if token is not None:
        headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    answer = requests.post(url, json=body, headers=headers, timeout=SECONDS, allow_redirects=False)
    if answer.status_code in REFUSED and answer.status_code != TOO_MANY_REQUESTS:
        raise ContractViolation(f"the webhook refused the audience: {answer.status_code} of {url}")
    answer.raise_for_status()
