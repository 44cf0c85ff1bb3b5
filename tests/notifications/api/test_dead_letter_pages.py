"""The operators' pages: what is shown, the dry run before every act, three languages."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest
from sanic import Sanic

from kit.clock import FakeClock
from kit.ids import new_id
from notifications.api.dead_letter_pages import PAGE, DeadLetterPages
from notifications.api.dead_letter_routes import plain_desk
from notifications.domain.dead_letters import Reason, Refusal
from tests.notifications.conftest import World
from tests.notifications.services.test_reprocess import Dlq
from tests.ticketing.console.test_console import Browser
from tests.ticketing.desk import Desk, make_desk
from ticketing.console import texts
from ticketing.console.app import create_blueprints
from ticketing.db.engine import Database
from ticketing.domain.enums import DeadLetterState, DlqAction, DlqResult, Role

_names = itertools.count()


class DlqBrowser(Browser):
    """A browser on a console with the pages of dead letters."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.app: Sanic[Any, Any] = Sanic(f"dlq-pages-{next(_names)}", configure_logging=False)
        for blueprint in create_blueprints(desk.deps, further=DeadLetterPages(plain_desk).all()):
            self.app.blueprint(blueprint)

    def form(self, action: str) -> dict[str, str]:
        """The hidden fields of the form with this address."""
        form = self.page.split(f'action="{action}"')[1].split("</form>", maxsplit=1)[0]
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))


@pytest.fixture
async def desk(db: Database, clock: FakeClock) -> Desk:
    made = await make_desk(db, clock)
    await made.agent("olga", role=Role.OPERATOR)
    return made


@pytest.fixture
def dlq(desk: Desk, world: World) -> Dlq:
    del desk  # it has filled the database first
    return Dlq(world)


@pytest.fixture
async def browser(desk: Desk) -> DlqBrowser:
    made = DlqBrowser(desk)
    await made.log_in("olga")
    return made


async def test_an_operator_looks_tries_confirms_and_finds_it_in_the_audit(
    dlq: Dlq, browser: DlqBrowser
) -> None:
    await dlq.kill_many(3)
    assert (await browser.go(PAGE)).status == 200
    assert "não entregue 3" in browser.page
    assert '<meter min="0" max="3" value="3">' in browser.page
    assert "a••@example.com" in browser.page
    fields = browser.form(f"{PAGE}/preview")
    await browser.go(f"{PAGE}/preview", form={**fields, "action": "reprocess", "rate": "0.5"})
    assert "O que seria enviado de novo" in browser.page
    assert "em 4 s" in browser.page
    assert "Enviar 3 de novo" in browser.page
    fields = browser.form(f"{PAGE}/act")
    assert fields["expected"] == "3"
    response = await browser.go(f"{PAGE}/act", form=fields)
    assert response.headers["location"] == f"{PAGE}?tab=actions&done=reprocess"
    await browser.go(response.headers["location"])
    assert "feito" in browser.page
    assert "agent:" in browser.page


async def test_more_than_was_shown_is_shown_again_and_not_done(
    dlq: Dlq, browser: DlqBrowser
) -> None:
    await dlq.kill_many(1)
    await browser.go(PAGE)
    fields = browser.form(f"{PAGE}/preview")
    await browser.go(f"{PAGE}/preview", form={**fields, "action": "discard"})
    fields = browser.form(f"{PAGE}/act")
    await dlq.kill()
    response = await browser.go(f"{PAGE}/act", form=fields)
    assert response.status == 409
    assert "Agora há mais avisos do que você viu" in browser.page
    assert browser.form(f"{PAGE}/act")["expected"] == "2"


async def test_one_entry_shows_its_story_and_nothing_about_a_person(
    dlq: Dlq, browser: DlqBrowser, world: World
) -> None:
    notice = await dlq.kill(
        recipient="maria@example.com", context={"ticket_number": 7, "text": "Oi <b>Maria"}
    )
    entry = await dlq.entry(notice)
    assert (await browser.go(f"{PAGE}/{entry.id}")).status == 200
    assert "m••@example.com" in browser.page
    assert "Maria" not in browser.page
    assert "#7" in browser.page
    fields = browser.form(f"{PAGE}/preview")
    await browser.go(f"{PAGE}/preview", form={**fields, "action": "discard"})
    await browser.go(f"{PAGE}/act", form=browser.form(f"{PAGE}/act"))
    world.clock.advance(timedelta(minutes=1))
    await browser.go(f"{PAGE}/{entry.id}")
    assert "descartar, feito" in browser.page
    for address in (f"{PAGE}/{new_id()}", f"{PAGE}/x"):
        assert (await browser.go(address)).status == 404


@pytest.mark.parametrize(
    "query",
    [
        "?job_name=x",
        "?state=x&reason=y",
        "?cursor=z",
        "?tab=w",
        "?tab=actions&before=v",
        "?tab=actions&before=99999999999",
    ],
)
async def test_an_address_that_makes_no_sense_is_still_a_page(
    dlq: Dlq, browser: DlqBrowser, query: str
) -> None:
    await dlq.kill_many(1)
    assert (await browser.go(PAGE + query)).status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", "x"),
        ("rate", "0"),
        ("limit", "-1"),
        ("action", "burn"),
        ("job_name", "send-fax"),
        ("reason", "x"),
        ("since", "5y"),
    ],
)
async def test_a_wrong_value_of_a_form_is_refused(
    browser: DlqBrowser, field: str, value: str
) -> None:
    await browser.go(f"{PAGE}?lang=en")
    form = {"csrf": browser.csrf, "action": "discard", "id": "", field: value}
    assert (await browser.go(f"{PAGE}/preview", form=form)).status == 422


async def test_an_agent_may_not_look(desk: Desk) -> None:
    await desk.agent("ana")
    browser = DlqBrowser(desk)
    await browser.log_in("ana")
    assert (await browser.go(PAGE)).status == 403
    assert (await browser.go("/console")).status == 200
    assert PAGE not in browser.page


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_every_word_of_the_pages_exists(language: str) -> None:
    wanted = {
        f"dlq.{group}.{item.value}"
        for group, enum in (
            ("state", DeadLetterState),
            ("reason", Reason),
            ("refusal", Refusal),
            ("act", DlqAction),
            ("result", DlqResult),
            ("preview", DlqAction),
            ("would", DlqAction),
            ("confirm", DlqAction),
            ("done", DlqAction),
        )
        for item in enum
    }
    wanted |= {f"dlq.age.{name}" for name in ("1h", "24h", "7d", "older")}
    wanted |= {f"dlq.since.{name}" for name in ("1h", "24h", "7d", "30d")}
    wanted |= {f"dlq.by_{name}" for name in ("job", "code", "age")}
    assert wanted <= set(texts.catalogue(language))
