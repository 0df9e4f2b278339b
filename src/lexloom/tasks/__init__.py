"""Every task, by the name a recipe uses. A new one is one file and one line here."""
