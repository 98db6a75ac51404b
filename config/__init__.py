"""How one deployment differs from another: settings, URLs, checks, the WSGI door."""
