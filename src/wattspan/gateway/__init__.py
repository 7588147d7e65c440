"""The server that charge points connect to: the WebSocket handshake, authentication, and live connections."""
