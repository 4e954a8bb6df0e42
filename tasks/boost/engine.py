"""The search engine by its REST API, which OpenSearch and Elasticsearch share."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import requests

from tasks import columns as c
from tasks.boost.body import Body
from tasks.errors import ContractViolation, InputNotReady, WrongCall
from tasks.settings import Search, without_login

BUSY = (429, 502, 503, 504)
ABSENT = 404
REFUSED = 400


class Engine:
    """One search engine."""

    def __init__(self, options: Search) -> None:
        if not options.url:
            raise WrongCall("no search engine is set: VITRINA_SEARCH__URL is its address")
        self.options = options
        self.url = options.url.rstrip("/")
        self._session = requests.Session()
        if options.login is not None:
            user, _, password = options.login.get_secret_value().partition(":")
            self._session.auth = (user, password)

    def ask(self, method: str, path: str, body: Body | None = None) -> Any:  # noqa: ANN401 (JSON)
        """Return the engine's answer.

        Raises:
            InputNotReady: it does not answer, or is too busy to.
            ContractViolation: it refuses, and says why.
        """
        answer = self._sent(method, path, None if body is None else json.dumps(body))
        return self._read(answer, f"{method} {path}")

    def find(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        """Return what `ask` returns, None where what the path names is not there."""
        answer = self._sent("GET", path, None)
        return None if answer.status_code == ABSENT else self._read(answer, f"GET {path}")

    def bulk(self, index: str, rows: pl.DataFrame) -> None:
        """Add documents with their `item_id` as id.

        Raises:
            InputNotReady: as `ask`.
            ContractViolation: some are refused: how many, and why one of them.
        """
        documents = rows.write_ndjson().rstrip("\n").split("\n")
        pairs = zip(rows[c.ITEM_ID], documents, strict=True)
        lines = (f'{{"create": {{"_id": {json.dumps(key)}}}}}\n{line}\n' for key, line in pairs)
        # An answer about every item that went well would be half as long as what was sent.
        path = f"{index}/_bulk?filter_path=errors,items.create._id,items.create.error"
        answer = self._read(self._sent("POST", path, "".join(lines)), f"POST {index}/_bulk")
        if not answer["errors"]:
            return
        refused = [made for item in answer["items"] if "error" in (made := item["create"])]
        first = refused[0]
        raise ContractViolation(
            f"{index}: the engine refused {len(refused)} of {rows.height} items,"
            f" e.g. {first['_id']}: {first['error'].get('reason')}"
        )

    def search(self, index: str, body: Body) -> pl.DataFrame:
        """Return `item_id, score` (float32) of what a body finds, best first.

        Raises:
            InputNotReady: as `ask`.
            ContractViolation: there is no such index or alias, or the body is refused.
        """
        answer = self.ask("POST", f"{index}/_search", body)
        found = [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]
        return pl.DataFrame(found, schema={c.ITEM_ID: pl.String, c.SCORE: pl.Float32}, orient="row")

    @property
    def _told(self) -> str:
        return f"the search engine at {without_login(self.url)}"

    def _sent(self, method: str, path: str, text: str | None) -> requests.Response:
        kind = "application/x-ndjson" if "_bulk" in path else "application/json"
        try:
            return self._session.request(
                method,
                f"{self.url}/{path}",
                data=None if text is None else text.encode(),
                headers={"Content-Type": kind},
                timeout=self.options.timeout_seconds,
            )
        except requests.RequestException as error:
            reason = type(error).__name__
            raise InputNotReady(
                f"{self._told} does not answer {method} {path.split('?', maxsplit=1)[0]}: {reason}"
            ) from None

    def _read(self, answer: requests.Response, asked: str) -> Any:  # noqa: ANN401 (JSON)
        if answer.status_code < REFUSED:
            return self._parsed(answer, asked) if answer.content else {}
        error = InputNotReady if answer.status_code in BUSY else ContractViolation
        raise error(f"{self._told} answers {asked} with {answer.status_code}: {_why(answer)}")

    def _parsed(self, answer: requests.Response, asked: str) -> Any:  # noqa: ANN401 (JSON)
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            raise ContractViolation(
                f"{self._told} is no search engine: it answers {asked} with {answer.text[:80]!r}"
            ) from error


def _why(answer: requests.Response) -> str:
    try:
        error = answer.json()["error"]
        return str(error["root_cause"][0]["reason"] if isinstance(error, dict) else error)
    except (ValueError, LookupError, TypeError):
        return answer.text[:200]
