"""Long-term memory in PostgreSQL."""
