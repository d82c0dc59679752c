"""Long-term memory kept in the process."""
