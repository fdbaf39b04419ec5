"""Looking back: journals read, checked and replayed, beside the router that writes them. Floor 4."""
