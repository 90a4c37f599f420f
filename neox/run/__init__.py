"""What happens inside a job: the rank contract, exit codes, events, the stop file, the neox command."""
