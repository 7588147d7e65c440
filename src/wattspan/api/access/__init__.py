"""Access to the API: rights, lockout, logins and tokens."""
