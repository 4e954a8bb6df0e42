"""The result page of a day."""
