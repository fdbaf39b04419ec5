"""Testing what is built on Turnout. Public."""
