"""Events in plain words and as data: of one event, of one request. Pure."""
