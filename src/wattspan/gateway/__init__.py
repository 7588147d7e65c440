"""Where charge points connect: the WebSocket handshake, who may come in, and the live sessions."""
