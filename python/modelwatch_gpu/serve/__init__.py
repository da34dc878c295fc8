"""What a monitor knows, served over HTTP: metrics for Prometheus, findings as JSON, and rules and a dashboard for them.

Needs the extras ``monitor`` and ``serve``; importing this package alone needs nothing.
"""
