"""The central system: who is admitted, what a message does, commands to charge points, plugins."""
