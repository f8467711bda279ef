"""Conversations of several clients with two servers at once: what is said, what must be heard, what may differ."""
