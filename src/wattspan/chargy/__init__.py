"""The Chargy public network as metrics: its KML is fetched now and then, and what it says stays until it says more.

It owns the feed and what its words mean. It must not know OCPP, our fleet or our store.
"""
