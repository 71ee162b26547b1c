"""The address of a store: of one node, or of the sentinels that know its primary. Pure: nothing is opened.

    redis://[user:password@]host:port[/database]                                     also rediss:// and unix://
    redis+sentinel://[user:password@]host:port[,host:port ...]/service[/database]    also rediss+sentinel://

The user and the password of a sentinel's address are the store's; ``?sentinel_username=...&sentinel_password=...`` are
for the sentinels themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from tussle.lobby.addresses import host_port
from tussle.lobby.errors import StoreError

__all__ = ["Sentinels", "hide_password", "parse_sentinels", "with_node"]

SENTINEL_PORT = 26379


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Addresses of sentinels, as URLs, and the service whose primary they know. ``template``: the primary's URL with
    another host and port."""

    urls: tuple[str, ...]
    service: str
    template: str


def hide_password(url: str) -> str:
    """The address without its user and password, for messages, logs and terminals."""
    url = re.sub(r"//.*@", "//", url)  # a password may have a slash, although such an address is not valid
    return re.sub(r"([?&](?:sentinel_)?(?:username|password)=)[^&]*", r"\1...", url)


def parse_sentinels(url: str) -> Sentinels | None:
    """The sentinels of an address; None if it is the address of a node. Raises StoreError ``bad_address``."""
    scheme, found, rest = url.partition("://")
    kind, _, sentinel = scheme.partition("+")
    if sentinel != "sentinel" or not found or kind not in ("redis", "rediss"):
        return None
    try:
        location, _, query = rest.partition("?")
        netloc, _, path = location.partition("/")
        user, _, hosts = netloc.rpartition("@")
        service, _, database = path.partition("/")
        options = {name: values[-1] for name, values in parse_qs(query).items()}
        unknown = options.keys() - {"sentinel_username", "sentinel_password"}
        if not service or not hosts or unknown or not re.fullmatch(r"[0-9]*", database):
            raise ValueError("it names hosts, a service and perhaps a database")
        theirs = ""
        if "sentinel_password" in options:
            name, secret = (
                quote(options.get(f"sentinel_{part}", ""), safe="") for part in ("username", "password")
            )
            theirs = f"{name}:{secret}@"
        parts = [urlsplit(f"{kind}://{word}") for word in hosts.split(",") if word]
        urls = [
            f"{kind}://{theirs}{host_port(one.hostname or '', one.port or SENTINEL_PORT)}" for one in parts
        ]
    except ValueError as error:
        raise StoreError(
            f"not an address of sentinels: {hide_password(url)}: {error}: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE",
            code="bad_address",
        ) from None
    template = f"{kind}://{user + '@' if user else ''}node/{database or '0'}"
    return Sentinels(tuple(urls), service, template)


def with_node(url: str, host: str, port: int) -> str:
    """The URL with the host and port of another node."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    shown = host_port(host, port)
    return parts._replace(netloc=f"{user}@{shown}" if user else shown).geturl()
