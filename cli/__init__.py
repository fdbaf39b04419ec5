"""The command line: `python -m turnout {ask,demo,upstream}`. Floor 4."""
