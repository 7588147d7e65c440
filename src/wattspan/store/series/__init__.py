"""The format of sampled series: blocks of samples, their steps, and sums over time. It knows no SQL and no fleet."""
