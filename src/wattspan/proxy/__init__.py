"""A WebSocket proxy in front of another central system. It relays every frame unchanged and observes what passes."""
