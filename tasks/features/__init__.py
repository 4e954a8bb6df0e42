"""Counters, recency, prices, demand and sequences: what SQL needs beside the tables."""
