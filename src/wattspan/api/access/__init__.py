"""Who uses the API and what they may do: rights, passwords, lockout, log-ins and tokens."""
