"""The life of transactions: `v16` for OCPP 1.6, `v2x` for 2.0.1 and 2.1, `common` for what both share."""
