"""OCPP-J: frames, schemas, and the conversation over one connection. It knows no message's meaning."""
