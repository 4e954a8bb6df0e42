"""The boost: a customer's facets beside a search's base score, in a query body and on frames.

base      the segment's sf_pos, as the index holds it
boost     facet weight x preference, one clause per attribute value of a category group
facets    sum of the boosts of the item's values
score     min(base + facets, base / (1 - max_share)); an item out of stock keeps its base

The engine and `arithmetic` round alike, so that both give the same order to the last place.
"""
