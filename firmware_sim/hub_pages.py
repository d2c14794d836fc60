"""What an administrator's browser gets from the hub, read as JSON."""

from collections.abc import Iterator
from typing import Any

import requests

from firmware_sim.errors import NotReady

TIMEOUT_S = 20
ROWS_A_PAGE = 1000


class HubPages:
    """One signed-in session."""

    def __init__(self, url: str, login_url: str) -> None:
        """Use up the one-use login link. Raises NotReady when it does not sign in."""
        self._url = url
        self._session = requests.Session()
        answer = self._session.post(login_url, timeout=TIMEOUT_S, allow_redirects=False)
        if answer.status_code != 303 or not self._session.cookies:
            raise NotReady(f"signing in at {url} answered {answer.status_code}")
        self._rows: list[dict[str, Any]] = []
        self._last: int | None = None

    def ledger(self) -> list[dict[str, Any]]:
        """Every row of the ledger so far, oldest first; only what is new is fetched."""
        for row in self._newer():
            self._rows.append(row)
            self._last = int(row["index"])
        return self._rows

    def _newer(self) -> Iterator[dict[str, Any]]:
        while True:
            query: dict[str, str | int] = {"order": "oldest", "limit": ROWS_A_PAGE}
            if self._last is not None:
                query["after"] = self._last
            answer = self._session.get(
                f"{self._url}/ledger.json", params=query, timeout=TIMEOUT_S, allow_redirects=False
            )
            if answer.status_code != 200:
                raise NotReady(f"{answer.url} answered {answer.status_code}")
            page = answer.json()
            yield from page["items"]
            if page["next"] is None:
                return

    def close(self) -> None:
        """Forget the session."""
        self._session.close()
