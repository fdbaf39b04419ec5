"""The command line: `python -m turnout {ask,demo,simulate,upstream}`. Floor 4."""
