"""A database for each test."""

from tests.checkpoint_postgres.conftest import database

__all__ = ["database"]
