"""How an emulated server answers, before it becomes HTTP; the errors of the form API with their statuses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

STATUS = {
    "NoAuthTokenError": 401, "BadApiKeyError": 401, "PermissionDeniedError": 401, "BadRequestError": 400,
    "NotFoundError": 404, "GoneError": 410, "ServerError": 500,
}  # fmt: skip
WEB_PAGE = b"<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>Something</h1></body></html>"


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes


class FormError(Exception):
    """A failure in the words of the form API."""

    def __init__(self, code: str, message: str | dict[str, list[str]]) -> None:
        super().__init__(code)
        self.code = code
        self.message = message

    def reply(self, generation: str) -> Reply:
        status = 401 if generation == "2012" and self.code == "BadRequestError" else STATUS[self.code]
        error = {"code": self.code, "message": self.message}
        return reply({"error": error, "meta": {"result": "error"}}, status)


def reply(data: Any, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(data).encode())


def web_page(status: int) -> Reply:
    return Reply(status=status, body=WEB_PAGE, content_type="text/html; charset=utf-8")


def moment(generation: str, unix_s: float) -> str:
    time = datetime.fromtimestamp(unix_s, UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if generation == "2012" else time.isoformat()
