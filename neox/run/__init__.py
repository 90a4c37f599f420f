"""What happens inside a job: rank contract, exit codes, events, the stop file, `neox` itself."""
