"""What `neox-submit --help` says. Plain text: nothing has to be imported to print it."""

HELP = """\
neox-submit - plan, review, submit and follow large-model training jobs

  neox-submit --site SITE [--job KIND] CONFIG... [KEY=VALUE ...]

    neox-submit --site local configs/demo.yml                  train on this machine
    neox-submit --site frontier --account abc123 --nodes 12 --print configs/20B.yml
                                                                look at the script alone
    neox-submit --site frontier --account abc123 --nodes 12 configs/20B.yml
                                                                write, review, ask, submit
    neox-submit --site lumi --account project_465000001 --time 12:00:00 --chain 3 \\
        configs/pythia/1B.yml lr=3.0e-4                          three links of 12 hours

  CONFIG files (YAML or JSON, as of GPT-NeoX; .yml may be left out) are merged left to right, then
  KEY=VALUE, where dots in KEY reach into dicts, and KEY=null takes back what a file gave.
  -d DIR: the files lie in DIR.

where and how much
  --site SITE          a profile: neox-submit sites list (left out: recognised, if it can be)
  --job KIND           what to do: neox-submit jobs list (train)
  --nodes N            whole nodes (1)
  --spare-nodes K      allocate K more, and run on N that pass the preflight
  --time TIME          walltime of one link: 2:00:00, 90m, 2-00:00:00 (the queue's default)
  --queue NAME         partition, QOS or queue (the site's default)
  --account NAME       project that pays
  --chain N            submit N links, each after the one before it (1)
  --chain auto         as many links as the steps left take, with a table of other ways
  --seconds-per-step S measured elsewhere, for --chain auto (this run's log, or an estimate)
  --dependency ID[,ID] start when these jobs have ended, however they did; may be repeated
  --python PATH        the interpreter the ranks run (the profile's)
  --directive K=V      one more line for the scheduler; may be repeated
  --launch-arg ARG     one more argument of the launcher; may be repeated

a profile of some steps
  --profile TOOL       nsys, rocprof, torch or memory (the GPU's allocations)
  --profile-ranks R    0,8 or one-per-node or all (0)
  --profile-steps A:B  first and last step (10:12)

several runs at once
  --sweep KEY=V1,V2    a run for each value, in the folder NAME; of several keys every combination
  --sweep-zip          the first values together, the second together ...
  --array              one submission: an array of jobs, each element one run (Slurm)

the run directory
  --name NAME          its name (the config's)
  -o, --output DIR     the folder it lies in (the site's place for runs)
  --continue           go on with a run that exists: same model, same data
  --fresh              start beside a run that exists, as NAME-2, NAME-3 ...

how far to go
  --print              print job.sh and write nothing
  --dry-run            plan and review, and write nothing
  --yes                submit without asking
  --up-to NODE_HOURS   agree to a dear submission (policy.confirm_node_hours) beforehand
  --here               run now, inside the allocation this shell has
  --json               print one JSON object instead of text

before submission
  suggest --site SITE --nodes N CONFIG...      ways to divide model and batch that fit, best first

after submission (RUN is the run directory, or a name in ./runs)
  submit RUN [--chain N] [--accept-edited]     submit what was written and reviewed
  chain RUN [--chain N]                        more links behind the last one
  status [RUN]                                 jobs, step, loss, last sign of life
  logs RUN [--rank N] [--follow]               the job's output, or one rank's
  stop RUN                                     save, leave, start no further link
  cancel RUN                                   end now: halts the run, cancels its jobs
  submit, status, stop and cancel also take the folder of a sweep: all its runs
  explain RUN                                  where each line of job.sh comes from
  diff A [B]                                   two runs or links; of one, its last two links
  diff --site A --against B CONFIG...          one config on two sites

about this machine
  sites list|show|check    jobs list|show    doctor [--site SITE]

exit codes
  0 done   1 a bug in NeoX   2 wrong config, profile or command line   3 data missing or damaged
  4 refused: a run in the way, no scheduler, no permission, a full disk
  130 interrupted (Ctrl-C)
  With --here the job's own code (docs/how-a-job-ends.md).

  NEOX_DEBUG=1 shows the traceback of a bug.
"""
