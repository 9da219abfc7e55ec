"""One file a family of methods: how each begins, what it trains or searches, and how it is put to work."""
