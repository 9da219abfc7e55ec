"""From a boxed text to what it says: characters, brackets, units, and a tree for each expression."""
