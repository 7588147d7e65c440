"""The Chargy public network as metrics. Its KML feed is fetched periodically; the last good data stays on the page.

It owns the feed, the meaning of its states, and its metrics. It must not know OCPP, the fleet or the store.
"""
