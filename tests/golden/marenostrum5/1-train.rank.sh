#!/bin/bash
# One rank of 160M, started by srun from job.sh: docs/rank-contract.md
set -Eeuo pipefail
trap '' USR1 USR2 # the scheduler may signal the ranks too, but only job.sh answers
trap 'echo "rank.sh: line $LINENO: $BASH_COMMAND ended with $?" >&2 && exit 1' ERR
run=/proj/me/runs/160M
link=$run/links/1
python=/home/me/neox/.venv/bin/python
job_id=${NEOX_JOB_ID-}
refuse() { # job.sh takes its code from this file; the first rank that fails writes it
  echo "rank.sh: $1" >&2
  (
    set -o noclobber
    printf '{"code": 4, "rank": %d, "reason": "rank.sh: %s"}\n' "${RANK-0}" "$1" \
      >"$run/state/failed.${job_id:?}"
  ) 2>/dev/null || :
  exit 4
}

# --- who this rank is ---------------------------------------------------------------------------
for name in SLURM_PROCID SLURM_LOCALID SLURM_NTASKS NEOX_JOB_ID MASTER_ADDR MASTER_PORT; do
  [[ -n ${!name-} ]] || refuse "$name is not set: job.sh starts the ranks, by srun"
done
export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID
export WORLD_SIZE=$SLURM_NTASKS LOCAL_WORLD_SIZE=4
((WORLD_SIZE == 4)) || refuse "$WORLD_SIZE ranks were started, 4 were planned"
node=${SLURMD_NODENAME:-${HOSTNAME%%.*}}
node=${node//[!A-Za-z0-9._-]/_}
export NEOX_NODE=$node

# --- what it prints: tagged, and kept in a file of its own --------------------------------------
log=$run/logs/$node.$RANK.log
exec 3>&1 1> >(
  trap '' TERM INT HUP # it lives until the last line is written
  exec 3>&-
  sed -u "s/^/[$node:$RANK] /" | tee -a -- "$log"
) 2>&1
tagger=$!

# --- where it runs: the kernel's word against the layout's --------------------------------------
cores_of() { # "1-3,65" -> "1 2 3": a hardware thread counts as its core
  local range ranges cpu seen=()
  IFS=, read -ra ranges <<<"$1"
  for range in "${ranges[@]}"; do
    for ((cpu = ${range%-*}; cpu <= ${range#*-}; cpu++)); do seen[cpu % 80]=1; done
  done
  echo "${!seen[*]}"
}
planned=(0-19 20-39 40-59 60-79)
allowed=''
while read -r name value; do
  [[ $name != Cpus_allowed_list: ]] || allowed=$value
done </proc/self/status
if [[ $(cores_of "$allowed") != "$(cores_of "${planned[LOCAL_RANK]}")" ]]; then
  echo "rank.sh: this rank may run on cores $allowed, and ${planned[LOCAL_RANK]} were planned" >&2
fi

# --- the entry: its code and its signals pass through -------------------------------------------
export PYTHONUNBUFFERED=1
"$python" -P -m neox.run.cli train "$link/run.yml" 3>&- &
entry=$! mercy=TERM
trap '
  kill -s "$mercy" "$entry" 2>/dev/null || :
  mercy=KILL
' TERM INT HUP
trap '
  kill -s USR1 "$entry" 2>/dev/null || : # job.sh found a hang: the entry prints its stack
  kill -s CONT "$entry" 2>/dev/null || : # also one that is stopped
' USR1
wait_for() { # process $1 -> code; a trapped signal ends `wait` early, so ask until it is gone
  local alive again running
  code=0
  wait "$1" || code=$?
  while ((code > 128)); do
    alive=no
    if kill -0 "$1" 2>/dev/null; then alive=yes; fi
    # a signal that comes just as it ends makes bash forget its end: `wait` would wait for ever
    running=" $(jobs -rp) "
    if [[ $alive == no && $running == *[[:space:]]"$1"[[:space:]]* ]]; then break; fi
    again=0
    wait "$1" 2>/dev/null || again=$?
    ((again == 127)) || code=$again # 127: this shell has given its code away already
    if [[ $alive == no ]]; then break; fi
  done
}
wait_for "$entry"

# --- the last lines: the tagger ends when nobody holds its pipe any more, or after 5 s ----------
exec >&3 2>&3
for ((tries = 0; tries < 50; tries++)); do
  if ! kill -0 "$tagger" 2>/dev/null; then break; fi
  sleep 0.1
done
exit "$code"
