"""What a batch is trained for: inputs, targets and loss."""
