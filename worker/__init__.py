"""Processes that consume streams of the store: cleanup and sweep (the others follow). They never serve a client."""
