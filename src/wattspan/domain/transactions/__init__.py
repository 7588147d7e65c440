"""Transactions: `common` is shared by all OCPP versions, `v2x` handles the transaction events of OCPP 2.x."""
