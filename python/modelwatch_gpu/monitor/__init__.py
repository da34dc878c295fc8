"""A monitor: a config that runs again and again over a growing log, and a store of what it counted and found.

Needs the extra ``monitor``; importing this package alone needs nothing.
"""
