"""What tests of sources share: servers of their own, on this machine only."""

from __future__ import annotations

from local_servers import object_store, object_store_server, postgres

__all__ = ["object_store", "object_store_server", "postgres"]
