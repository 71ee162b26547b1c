"""What is public on a real server: the list of sessions, the catalogue, health and metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.http import healthy
from tests.support.problems import assert_problem
from tests.support.stack import Stack
from tests.support.stranger import Person, duel
from tussle.server.http.tagged_bodies import GZIP_BYTES

ENVIRONMENT = {"SIM_SPEED": "0", "TURN_S": "60"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_list_of_sessions_has_filters(site: Stack) -> None:
    """It filters by mode, status and words. Private lobbies are not listed. An unknown status is refused."""
    async with Person(site.url) as ada, Person(site.url) as otto, duel(site.url) as game:
        await ada.login(name="Hypatia")
        await otto.login()
        public = (await ada.ask("/api/open", size=3))["session"]
        private = (await otto.ask("/api/open", size=3, private=True))["session"]

        async def tokens(query: str = "") -> set[str]:
            return {view["session"] for view in (await ada.get(f"/api/sessions{query}")).json()["sessions"]}

        assert public in await tokens()
        assert private not in await tokens()
        assert game.session not in await tokens()  # it was opened as private
        assert public in await tokens("?status=open")
        assert public not in await tokens("?status=running")
        assert public in await tokens("?mode=duel")
        assert public not in await tokens("?mode=sandbox")
        assert public in await tokens("?search=hypatia")
        assert await tokens("?search=nobody-of-that-name") == set()
        assert await tokens("?player=HYPATIA") == await tokens(f"?player={ada.player}") == {public}
        assert await tokens("?player=hypat") == set()
        opened = (await ada.look(public))["opened_at"]
        assert public in await tokens(f"?since={opened}&until={opened}")
        assert public not in await tokens(f"?since={opened + 1}")
        assert public not in await tokens(f"?until={opened - 1}")
        for query in ("since=soon", "until=-1", "since=1e9", f"until={'9' * 16}"):
            assert_problem(await ada.get(f"/api/sessions?{query}"), 422, "bad_page")
        answer = await ada.get("/api/sessions?status=happy")
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"]
        assert (await otto.look(private))["session"] == private


async def test_a_running_session_shows_its_turn(site: Stack) -> None:
    """The view has the status, the turn with its seat and deadline, and the brief for bots."""
    async with duel(site.url) as game:
        _, _, started = await game.turn()
        view = await game.persons[0].look(game.session)
        assert (view["status"], view["turn"]) == ("running", started["d"]["turn"])
        assert view["turn_seat"] == started["d"]["seat"] == view["brief"]["seat"]
        assert view["turn_ends_at"] > view["started_at"] > 0
        assert all(seat["health"] > 0 and seat["connected"] for seat in view["seats"])
        assert view["ws_url"].startswith("ws://")


async def test_unknown_sessions_are_not_found(ada: Person) -> None:
    """A token without a session and a malformed token have different codes."""
    assert_problem(await ada.get("/api/sessions/k7qm2xpv"), 404, "not_found")
    assert_problem(await ada.get("/api/sessions/nonsense!"), 404, "no_such_session")


async def test_the_catalogue_lists_bodies(ada: Person) -> None:
    """Its ids are those that find accepts."""
    catalogue = (await ada.get("/api/catalogue")).json()
    assert {"bodies", "materials", "scenes", "meshes"} == catalogue.keys()
    assert {"halo", "crux", "cobble", "marl"} <= catalogue["bodies"].keys()


async def test_health_and_metrics(site: Stack, ada: Person) -> None:
    """Health is JSON. The metrics are in the text format of Prometheus and count the connections, ticks and frames."""
    health = await healthy(ada.http)
    assert not health["draining"]
    assert {"server", "build", "sessions"} <= health.keys()
    async with duel(site.url) as game:
        acting, _, _ = await game.turn()
        await acting.act("brace")
        await acting.until("turn_ended")
        answer = await ada.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert all(family.documentation for family in families.values())

    def value(family: str, sample: str) -> float:
        return sum(one.value for one in families[family].samples if one.name == sample)

    assert value("tussle_connections", "tussle_connections") >= 2
    assert value("tussle_ticks", "tussle_ticks_total") > 0
    assert value("tussle_frames_sent", "tussle_frames_sent_total") > 0
    assert value("tussle_input_to_frame_seconds", "tussle_input_to_frame_seconds_count") >= 1
    assert value("tussle_proofs", "tussle_proofs_total") >= 1


@pytest.mark.parametrize("path", ["/api/catalogue", "/api/modes", "/api/recordings", "/api/leaderboard/duel"])
async def test_what_the_client_has_is_not_sent_again(site: Stack, path: str) -> None:
    """The answer has an ETag; with it the next one is 304 and empty, and the catalogue is compressed."""
    async with Person(site.url) as ada:
        first = await ada.http.get(path, headers={"accept-encoding": "gzip"})
        assert first.status_code == 200
        assert first.headers.get("content-encoding") == ("gzip" if len(first.content) >= GZIP_BYTES else None)
        assert path != "/api/catalogue" or int(first.headers["content-length"]) < len(first.content) / 3
        again = await ada.http.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = await ada.http.get(
            path, headers={"if-none-match": 'W/"other"', "accept-encoding": "identity"}
        )
        assert (other.status_code, other.content) == (200, first.content)
        assert "content-encoding" not in other.headers
