"""What a program of the user's is plugged in with."""
