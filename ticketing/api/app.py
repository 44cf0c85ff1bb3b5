"""The API's Sanic blueprint: the routes of the table, their description and its page."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sanic import Blueprint, HTTPResponse, Request, Sanic
from sanic.exceptions import PayloadTooLarge
from sanic.response import html, raw

from kit.ids import new_correlation_id
from ticketing.api.calls import Route
from ticketing.api.dispatch import Dispatcher, Rates
from ticketing.api.openapi import PREFIX, openapi_document
from ticketing.api.routes import ROUTES
from ticketing.http import browser
from ticketing.http.deps import Deps
from ticketing.http.desk import Desk
from ticketing.http.problems import CODES, Problem, respond

__all__ = ["Deps", "answer_what_is_too_large", "create_blueprints"]

AnyRequest = Request[Any, Any]

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_HERE = Path(__file__).parent
_DOCS_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def create_blueprints(
    deps: Deps, *, further: tuple[Route, ...] = (), rates: Rates | None = None
) -> list[Blueprint]:
    """The blueprints of `/api`; each call makes new ones with their own limits.

    Args:
        deps: What the handlers work with.
        further: Routes of packages that this one may not know, such as `training`.
        rates: How much one may ask; the usual rates without.
    """
    routes = (*ROUTES, *further)
    blueprint = Blueprint("agents_api")
    dispatcher = Dispatcher(Desk.of(deps), routes, rates)
    by_path: dict[str, dict[str, Route]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route
    for number, (path, by_method) in enumerate(by_path.items()):
        _add(blueprint, dispatcher, path, by_method, name=f"operations_{number}")
    _add_unknown(blueprint)
    _add_documentation(blueprint, routes)

    async def harden(_request: AnyRequest, response: HTTPResponse) -> None:
        browser.harden(response, policy=browser.API_POLICY, deps=deps)

    blueprint.middleware(harden, "response")
    return [blueprint]


def answer_what_is_too_large(app: Sanic[Any, Any]) -> None:
    """Make it a problem document too when a request is refused before any route is chosen.

    Sanic reads no further when address and headers are longer than `REQUEST_MAX_HEADER_SIZE`, or
    the body than `REQUEST_MAX_SIZE`.
    """

    async def refuse(_request: AnyRequest, error: PayloadTooLarge) -> HTTPResponse:
        config = app.config
        detail = (
            f"address and headers: expected at most {config.REQUEST_MAX_HEADER_SIZE} bytes, "
            f"body: at most {config.REQUEST_MAX_SIZE} bytes ({error})"
        )
        return respond(Problem("too_large", detail), instance=new_correlation_id())

    app.exception(PayloadTooLarge)(refuse)


def _add(
    blueprint: Blueprint,
    dispatcher: Dispatcher,
    path: str,
    by_method: dict[str, Route],
    *,
    name: str,
) -> None:
    async def operation(request: AnyRequest, **ids: str) -> HTTPResponse:
        return await dispatcher.serve(request, by_method, ids)

    # All methods, so that a wrong one gets a problem document too.
    uri = PREFIX + re.sub(r"{(\w+)}", r"<\1:str>", path)
    blueprint.add_route(operation, uri, methods=_METHODS, name=name)


def _add_unknown(blueprint: Blueprint) -> None:
    async def unknown(request: AnyRequest, rest: str = "") -> HTTPResponse:
        del rest
        detail = "expected an address of /api/openapi.json"
        return respond(Problem("not_found", detail), instance=browser.correlation_id(request))

    blueprint.add_route(unknown, f"{PREFIX}/<rest:path>", methods=_METHODS, name="unknown")
    blueprint.add_route(unknown, PREFIX, methods=_METHODS, name="root", strict_slashes=False)


def _add_documentation(blueprint: Blueprint, routes: tuple[Route, ...]) -> None:
    described, page = _documentation(routes)
    styles = (_HERE / "templates" / "docs.css").read_bytes()

    async def openapi(_request: AnyRequest) -> HTTPResponse:
        return raw(described, content_type="application/json")

    async def docs(_request: AnyRequest) -> HTTPResponse:
        return html(page, headers={"Content-Security-Policy": _DOCS_POLICY})

    async def docs_styles(_request: AnyRequest) -> HTTPResponse:
        return raw(styles, content_type="text/css; charset=utf-8")

    blueprint.add_route(openapi, "/api/openapi.json", methods=("GET",), name="openapi")
    blueprint.add_route(docs, "/api/docs", methods=("GET",), name="docs")
    blueprint.add_route(docs_styles, "/api/docs.css", methods=("GET",), name="docs_styles")


@cache
def _documentation(routes: tuple[Route, ...]) -> tuple[bytes, str]:
    """The description and its page: most of a second's work, and the same for every app."""
    document = openapi_document(routes)
    return orjson.dumps(document, option=orjson.OPT_INDENT_2), _page(document)


def _page(document: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pretty"] = lambda value: orjson.dumps(
        value, option=orjson.OPT_INDENT_2
    ).decode()
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    schemas = document["components"]["schemas"]
    return environment.get_template("docs.html").render(
        info=document["info"], groups=groups, schemas=schemas, codes=CODES
    )
