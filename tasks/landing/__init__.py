"""Landing: what a shop delivers, by day of receipt."""
