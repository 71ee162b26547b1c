"""The list of other servers that clients get."""

from __future__ import annotations

from tussle.server.sessions.neighbours import KEPT_S, MOST, Neighbours

OWN = "http://m:1"


def test_a_change_is_reported_once() -> None:
    """The server itself and one without an address are not listed, nor are others behind its own address."""
    neighbours = Neighbours(OWN)
    assert not neighbours.update([OWN, ""], 0.0)
    assert neighbours.urls == ()
    assert neighbours.update([OWN, OWN, "http://n:1"], 1.0)
    assert neighbours.urls == ("http://n:1",)
    assert not neighbours.update(["http://n:1", OWN], 2.0)


def test_a_server_whose_lease_is_late_is_kept_for_a_while() -> None:
    """It comes after those that have a lease; once it is gone for KEPT_S, it is gone."""
    neighbours = Neighbours(OWN)
    neighbours.update(["http://n:1", "http://o:1"], 0.0)
    assert not neighbours.update(["http://o:1"], 1.0)
    assert neighbours.urls == ("http://o:1", "http://n:1")
    assert neighbours.update(["http://o:1"], KEPT_S)
    assert neighbours.urls == ("http://o:1",)
    assert neighbours.update(["http://n:1", "http://o:1"], KEPT_S + 1.0)


def test_the_servers_of_a_large_realm_name_different_ones() -> None:
    """At most MOST, and each server is named by as many others: no server is called by the clients of all."""
    urls = [f"http://s{number:02}:1" for number in range(3 * MOST)]
    named: dict[str, int] = dict.fromkeys(urls, 0)
    for own in urls:
        neighbours = Neighbours(own)
        neighbours.update(urls, 0.0)
        assert len(neighbours.urls) == MOST
        assert own not in neighbours.urls
        for url in neighbours.urls:
            named[url] += 1
    assert set(named.values()) == {MOST}
