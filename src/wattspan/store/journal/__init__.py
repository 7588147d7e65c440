"""Group commit: batches, the writer thread, and the statements a batch runs."""
