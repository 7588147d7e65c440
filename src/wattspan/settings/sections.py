"""The settings in groups of related ones, in the order in which help texts and documents show them."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "OCPP": (
        "host",
        "port",
        "default_subprotocol",
        "strict",
        "heartbeat_interval_s",
        "command_timeout_s",
        "ping_interval_s",
        "ping_timeout_s",
        "max_frame_bytes",
    ),
    "Access of charge points and id tags": (
        "unknown_charge_points",
        "unknown_id_tags",
        "min_security_profile",
        "credential_grace_s",
    ),
    "TLS and certificates of charge points": (
        "tls_port",
        "tls_cert",
        "tls_key",
        "tls_client_ca",
        "tls_client_crl",
        "tls_client_ocsp",
        "ca_dir",
        "certificate_days",
        "cpo_name",
        "rsa_requests",
        "renewal_days",
        "proxy_protocol_from",
    ),
    "HTTP API and console": (
        "api_host",
        "api_port",
        "api_url",
        "api_tls_cert",
        "api_tls_key",
        "trusted_proxies",
        "max_users",
        "max_tokens_per_user",
        "max_streams_per_user",
        "admin_password",
        "registration",
        "session_hours",
        "jaeger_url",
        "alertmanager_url",
        "map_style_url",
    ),
    "Metrics": (
        "metrics_host",
        "metrics_port",
        "metrics_token",
        "metrics_user",
        "metrics_password",
        "metrics_tls_cert",
        "metrics_tls_key",
        "metrics_detail",
        "handling_by_charge_point",
        "metrics_native_histograms",
    ),
    "Storage": (
        "database",
        "store_hold_s",
        "reading_retention_days",
        "audit_retention_days",
        "message_retention_hours",
        "files",
        "max_file_bytes",
    ),
    "Nodes of a cluster": ("redis", "node_name", "drain_s"),
    "Logging": ("log_level", "log_format"),
    "Plugins": ("plugins", "plug_and_charge_id_tag", "audit_log", "audit_unmasked"),
    "Proxy": ("upstream", "upstream_ca", "upstream_cert", "mirrors", "compare"),
    "Chargy public network": ("kml_url", "kml_interval_s", "kml_timeout_s", "kml_max_bytes"),
}
"""Every setting is in exactly one section."""


def section_of(name: str) -> str:
    """Return the title of the section that has the setting `name`."""
    return next(title for title, names in SECTIONS.items() if name in names)
