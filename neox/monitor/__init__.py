"""What a run says about itself: the log line, FLOP counts, TensorBoard."""
