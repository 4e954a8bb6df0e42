"""Ranking groups, the ranker, its measures and its gate."""
