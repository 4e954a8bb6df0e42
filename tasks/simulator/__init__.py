"""A simulated shop: landing files, the truth behind them, and an answer to any list."""
