"""Whatever goes wrong is answered with one sentence, and never with a stack trace."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from pose_hrnet.deploy.server.answers import problem
from pose_hrnet.deploy.server.limits import Refused
from pose_hrnet.system.text import one_line, shown


def answer_errors(app: FastAPI) -> None:
    """Let an application answer its errors so."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(Exception, _broken)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "this method is not taken here"}
    said = words.get(error.status_code, "the request cannot be read")
    response = problem(Refused(error.status_code, said))
    response.headers.update(error.headers or {})
    return response


async def _bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(Refused(422, f"option {shown(where)}: {one_line(first['msg'], 200)}"))


async def _broken(request: Request, error: Exception) -> Response:
    return problem(Refused(500, "something is wrong here; the server's log says what"))


__all__ = ["answer_errors"]
