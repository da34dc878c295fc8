"""What a monitor keeps: SQLAlchemy Core tables in SQLite or PostgreSQL."""
