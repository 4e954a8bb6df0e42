"""The lake: contracts, the ledger of days, the two engines."""
