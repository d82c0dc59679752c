"""The demo: a refund desk that is killed in the middle of its work and comes back.

`graph.py` is the program; `python -m examples.refund_desk` is the show around it.
"""
