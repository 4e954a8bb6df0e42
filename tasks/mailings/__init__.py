"""Mailings: who is written to, who chose that, and what it brought."""
