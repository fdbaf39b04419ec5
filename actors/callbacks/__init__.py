"""Callbacks of the user's: what they are told of each call, and who runs them where they hurt nothing."""
