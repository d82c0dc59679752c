"""Measurements of threadkeep against LangGraph, each side in its own process, interleaved in one run."""
