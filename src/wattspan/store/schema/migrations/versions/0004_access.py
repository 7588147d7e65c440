"""Users, their sessions and tokens, the audit log, files, and what an operator notes of a charge point."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    for name in ("name", "location", "note"):
        op.add_column("charge_points", sa.Column(name, sa.Text, server_default="", nullable=False))
    _people()
    _records()


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("user_key", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
        sa.Column("last_login_ts", sa.Double),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("user_key", name=op.f("pk_users")),
    )
    op.create_table(
        "login_sessions",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("user_key", sa.Text, nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
        sa.Column("expires_ts", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_login_sessions")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("token_id", sa.Text, nullable=False),
        sa.Column("user_key", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
        sa.Column("expires_ts", sa.Double),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_id", name=op.f("uq_api_tokens_token_id")),
    )


def _records() -> None:
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("at_ts", sa.Double, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("by_means_of", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "stored_files",
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_stored_files")),
    )
