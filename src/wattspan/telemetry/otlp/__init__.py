"""Export by OTLP: exporters, encoders and bounded queues."""
