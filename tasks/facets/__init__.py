"""Facets: what each customer prefers, and how much each attribute counts in a category group."""
