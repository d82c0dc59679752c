"""What the savers and stores in PostgreSQL share: connections, statements, and the ledger of their tables."""
