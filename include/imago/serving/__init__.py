"""The online endpoint: answers by key from the online table."""
