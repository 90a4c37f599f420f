"""From a site, a job and configs to a plan, a run directory and a queued job. No torch here."""
