"""The live store: Redis, and the only place that imports its client.

``keys`` names every key, ``scripts`` every Lua script; ``connection`` reaches Redis, ``meta`` checks that a store fits.
``rows`` are the users, ``shards`` the state of their owners, ``recount`` is what follows from rows, ``models`` are the
published generations, ``commands`` go to owners. Nothing is imported here, so that a lookup starts without numpy.
"""
