"""Processes that consume the streams of the store. A worker must never serve a client."""
