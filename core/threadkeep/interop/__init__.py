"""Bridges to other toolkits: one module each, the only one that imports its toolkit."""
