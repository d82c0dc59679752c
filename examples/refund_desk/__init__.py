"""The demo: a refund desk that is killed in the middle of its work and comes back. `python -m examples.refund_desk`."""
