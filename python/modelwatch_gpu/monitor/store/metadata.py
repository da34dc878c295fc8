"""The one ``MetaData`` that all tables of a store belong to.

Times are text, ISO 8601 in UTC to the microsecond (``clock.utc_text``): both databases keep the same bytes, and texts
sort as times do.
"""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
