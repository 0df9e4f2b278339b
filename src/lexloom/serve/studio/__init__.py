"""The studio: one page in a browser for all that a server's models can do, and for judging them blindly."""
