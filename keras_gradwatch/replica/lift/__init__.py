"""The float64 version of a traced graph, by surgery on the graph itself.

Read `lifted.py` first (what comes out), then `surgery.py` (how a graph is
rewritten), `bodies.py` (node by node) and `rules.py` (what becomes of which operation).
"""
