"""The live store: Redis, and the only place that imports its client.

``keys`` names every key; ``connection`` reaches Redis and checks that it is fit; ``rows`` are the users,
``shards`` the state of their owners, ``models`` the published generations. Nothing is imported here, so that a
lookup starts without numpy.
"""
