"""The serialiser: values to bytes and back, types included, closed by default."""
