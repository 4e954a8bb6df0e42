"""Segment ranking: who is in which segment, and what each segment puts into its cart."""
