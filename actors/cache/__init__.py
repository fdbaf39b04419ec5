"""Answers kept for those who ask the same again; the actor that owns them, and what it is made of."""
