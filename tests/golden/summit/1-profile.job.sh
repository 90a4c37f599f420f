#!/bin/bash
# 160M on OLCF Summit: 1 node x 6 ranks = tensor 1 x pipeline 1 x data 6; link 1
# written by neox-submit 0.1.0; to write it again:
#   neox-submit --site summit --nodes 1 --time 2:00:00 --account abc123 --profile nsys --profile-ranks one-per-node --profile-steps 10:12 configs/pythia/160M.yml train_batch_size=2304 train_micro_batch_size_per_gpu=4 --print
# where each line comes from: neox-submit explain /proj/me/runs/160M
#BSUB -J 160M
#BSUB -P abc123
#BSUB -q batch
#BSUB -nnodes 1
#BSUB -alloc_flags "smt1 nvme"
#BSUB -W 2:00
#BSUB -rn
#BSUB -wa USR2
#BSUB -wt 5
#BSUB -o /proj/me/runs/160M/logs/%J.out

set -Eeo pipefail
trap 'echo "job.sh: line $LINENO: $BASH_COMMAND ended with $?" >&2 && exit 1' ERR
run=/proj/me/runs/160M
link=$run/links/1
job_id=$LSB_JOBID restart=0

# --- signals: USR2 becomes a file that rank 0 looks at; TERM ends the ranks, twice kills ----------
owned=no stopping=no ranks='' timer='' watch='' mercy=TERM
mark_stop() {
  stopping=yes
  [[ $owned == yes ]] || return 0 # another job's run is not ours to stop
  { : >"$run/state/stop"; } 2>/dev/null || echo "job.sh: cannot write $run/state/stop" >&2 || :
}
refuse() { # what is wrong here is wrong in the next link too, so none is started
  echo "job.sh: $1" >&2
  [[ $owned == no ]] || echo "code 4 in job $job_id: $1" >"$run/state/halt" || :
  exit 4
}
trap mark_stop USR2
trap '
  [[ -n $ranks ]] || exit 143
  kill -s "$mercy" "$ranks" 2>/dev/null || :
  mercy=KILL
' TERM INT HUP
trap '
  [[ -z $timer ]] || kill "$timer" 2>/dev/null || :
  [[ -z $watch ]] || kill "$watch" 2>/dev/null || :
  [[ $owned == no ]] || rm -rf -- "$run/state/owner"
' EXIT
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

# --- one live job for a run: state/owner/job says "JOB RESTART HOST PID START" ------------------
process_start() { # when process $1 of this host began, in ticks since boot; empty when it is gone
  local stat fields
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  read -ra fields <<<"${stat##*) }" # what follows the name, which may hold spaces
  [[ ${fields[0]} == [ZX] ]] || echo "${fields[19]}"
}
process_state() { # HOST PID START
  if [[ $1 != "$HOSTNAME" ]]; then
    echo unknown
  elif [[ $(process_start "$2") == "$3" ]]; then
    echo live
  else
    echo dead
  fi
}
job_state() { # JOB ...
  local answer
  answer=$(bjobs -noheader -o stat "$1" 2>&1) || :
  case $answer in
  RUN | PROV | USUSP | SSUSP | UNKWN) echo live ;;
  PEND | PSUSP | WAIT | DONE | EXIT | ZOMBI | *"is not found"*) echo dead ;;
  *) echo unknown ;;
  esac
}
owner_state() { # JOB RESTART HOST PID START
  if [[ $1 != "$job_id" ]]; then
    job_state "$@"
  elif [[ $2 != "$restart" ]]; then
    echo dead # this job, before the scheduler restarted it
  else
    process_state "$3" "$4" "$5"
  fi
}
claim() { # by a rename, which succeeds once; a dead owner is first renamed to a name of its own
  local mine=$run/state/claim.$job_id.$restart.$$ owner=() tries
  mkdir "$mine" || refuse "cannot write in $run/state"
  echo "$job_id $restart $HOSTNAME $$ $(process_start $$)" >"$mine/job"
  for ((tries = 0; tries < 12; tries++)); do
    if mv -T "$mine" "$run/state/owner" 2>/dev/null; then
      owned=yes
      return
    fi
    read -ra owner 2>/dev/null <"$run/state/owner/job" || owner=()
    case $( ((${#owner[@]} == 5)) && owner_state "${owner[@]}") in
    live) break ;;
    dead) mv -T "$run/state/owner" "$run/state/dead.${owner[0]}.${owner[1]}.${owner[4]}" || : ;;
    *) sleep 5 ;; # it is just ending, or the scheduler does not answer
    esac
  done
  rm -rf -- "$mine"
  echo "job.sh: job ${owner[0]-?} on ${owner[2]-?} owns $run: one live job for a run;" \
    "if you know that it is gone: rm -r $run/state/owner" >&2
  exit 4
}
end_if_nothing_is_left() {
  local file
  for file in "$run/state/done" "$run/state/halt"; do
    if [[ -e $file ]]; then
      echo "job.sh: nothing to do: $file exists"
      exit 0
    fi
  done
}
end_if_nothing_is_left
claim
rm -f "$run/state/stop" "$run/state/heartbeat" "$run/state/saved.$job_id" "$run/state/failed.$job_id"
[[ $stopping == no ]] || mark_stop
end_if_nothing_is_left # `neox-submit stop` writes halt before stop, so none is lost

# --- modules and Python -------------------------------------------------------------------------
unset PYTHONPATH PYTHONHOME
if ! type module >/dev/null 2>&1 && [[ -r ${MODULESHOME-}/init/bash ]]; then
  # shellcheck source=/dev/null
  source "$MODULESHOME/init/bash" || :
fi
type module >/dev/null 2>&1 || refuse "this shell has no module command"
load() { # a centre removes modules, and not every module command says so
  module load "$1" || refuse "module load $1 failed"
  [[ ":${LOADEDMODULES-}:" == *":$1"[:/]* ]] || refuse "module $1 is not there any more"
}
module reset || refuse 'module reset failed'
load open-ce/1.10.0-py39-ibm
# it disturbs the profiler
module unload darshan-runtime || :
load nsight-systems
set -u
cd -- /proj/me || refuse 'no folder /proj/me'
python=/ccs/proj/abc123/neox/env/bin/python
[[ -x $python ]] || refuse "no Python at $python: install NeoX there, or give --python"
"$python" -P -c 'import neox' || refuse "$python cannot import neox: install it there"
NEOX_PROFILER=$(type -P nsys) || refuse 'nsys is not on the PATH: say its module in [profilers.nsys] of the profile'
export NEOX_PROFILER # some launchers do not pass the PATH on

# --- environment --------------------------------------------------------------------------------
unset TMPDIR
export NEOX_JOB_ID=$job_id
export NEOX_KERNELS=/gpfs/alpine2/abc123/scratch/me/neox-kernels
export OMP_NUM_THREADS=7

# --- rendezvous: rank 0's host, and a port below the ephemeral range ----------------------------
{ # the first line is the launch node that this script runs on
  read -r _
  read -r MASTER_ADDR
} <"$LSB_DJOB_HOSTFILE"
MASTER_PORT=$((20000 + job_id % 12000))
export MASTER_ADDR MASTER_PORT

# --- launch: local rank 0-5 on GPU 0 1 2 3 4 5, 7 cores each ---
(
  trap '' USR2 # some schedulers signal the launcher too
  exec jsrun -n1 -r1 -g6 -a6 -c42 -bpacked:7 --smpiargs=-disable_gpu_hooks "$link/rank.sh"
) &
ranks=$!

# --- the watch: state/heartbeat says "PHASE STEP SECONDS"; when it no longer changes, rank 0 hangs --
nap=''
pause() {
  sleep "$1" &
  nap=$!
  wait "$nap"
}
watch() { # compares no clocks, which may differ, and does not count while the job is suspended
  local said before='' silent=0 phase step seconds limit why
  trap '' USR2
  trap 'kill "$nap" 2>/dev/null || :; exit 0' TERM
  while pause 10; do
    said=$(stat -c %y "$run/state/heartbeat" 2>/dev/null) || said=''
    phase=start step=0 seconds=0
    if [[ -n $said ]]; then read -r phase step seconds <"$run/state/heartbeat" || :; fi
    case $phase in
    step)
      limit=$((20 * ${seconds:-0}))
      ((limit > 600)) || limit=600
      ;;
    save) limit=1800 ;;
    evaluate) limit=1800 ;;
    *) limit=2221 ;;
    esac
    silent=$((silent + 10))
    [[ $said == "$before" ]] || before=$said silent=0
    ((silent < limit)) || break
  done
  why="a hang: no sign of life for $limit s (phase $phase, step $step)"
  echo "job.sh: $why; every rank is asked for its stack, then ended" >&2
  (
    set -o noclobber
    printf '{"code": 75, "rank": 0, "reason": "%s"}\n' "$why" >"$run/state/failed.$job_id"
  ) 2>/dev/null || :
  kill -USR1 "$ranks" || :
  pause 10
  kill -TERM $$ # the trap above ends the launcher
  pause 30
  kill -TERM $$ # ... and kills it
}
watch &
watch=$!

wait_for "$ranks"
ranks=''
kill "$watch" 2>/dev/null || :
watch=''

# --- how it ended -------------------------------------------------------------------------------
ended=0
"$python" -P -m neox.run.cli end-link "$run" --link 1 --job "$job_id" \
  --code "$code" || ended=$?
case $ended in 0 | 2 | 3 | 4 | 16 | 17 | 75 | 85) exit "$ended" ;; esac
# Python itself did not get that far: the same rules by hand
is_failure='"code": *([0-9]+)' failure=''
[[ ! -e $run/state/failed.$job_id ]] || failure=$(<"$run/state/failed.$job_id")
if [[ -e $run/state/done ]]; then exit 0; fi
if [[ $failure =~ $is_failure ]]; then
  code=${BASH_REMATCH[1]}
elif ((code == 0)); then
  code=1 # the ranks are gone and left neither a save nor a finished run
  [[ ! -e $run/state/saved.$job_id ]] || code=85
fi
case $code in
2 | 3 | 4 | 16 | 17) echo "code $code in job $job_id" >"$run/state/halt" ;;
0 | 1 | 75 | 85) ;;
*) code=75 ;; # the launcher's own, such as 137: it may be the machine
esac
exit "$code"
