#!/bin/bash
# The ranks of one node of 160M, started by torchrun from job.sh: docs/rank-contract.md
set -Eeuo pipefail
trap 'echo "node.sh: line $LINENO: $BASH_COMMAND ended with $?" >&2 && exit 1' ERR
run=/proj/me/runs/160M
link=/proj/me/runs/160M/links/1
python=/home/me/neox/.venv/bin/python

# --- beside job.sh: pdsh calls this for each node, where a shell gets variables and then the rest ---
if [[ $1 == reach ]]; then # HOST NUMBER
  exec 4<&0                # from pdsh: it ends when pdsh is gone
  exec 5< <(
    exec 2>/dev/null
    declare -px MASTER_ADDR MASTER_PORT NEOX_JOB_ID NEOX_PROFILER OMP_NUM_THREADS
    cat "$link/node.sh"
    exec cat <&4
  )
  sender=$! code=0
  ssh -Tx -o BatchMode=yes -o ServerAliveInterval=60 "$2" /bin/bash -s "$3" <&5 4<&- 5<&- || code=$?
  kill "$sender" 2>/dev/null || : # pdsh waits until nobody holds its end
  exit "$code"
fi

# --- on the node --------------------------------------------------------------------------------
node_rank=$1
cd -- /proj/me
# no signal comes by ssh: job.sh leaves files, and the end of the input means that it is gone
look_at_input() {
  cat >/dev/null
  kill -TERM $$
}
asked=no
look_for_orders() {
  [[ -n $deadline || ! -e $run/state/end.$NEOX_JOB_ID ]] || deadline=0
  [[ $asked == no && -e $run/state/stacks.$NEOX_JOB_ID ]] || return 0
  asked=yes
  kill -s USR1 $$
}
spawn() { # every rank on this node; when one fails, the others get 10 s to end by themselves
  local pids=() deadline='' failed=0 index code
  trap '' USR2
  # the watch asks for stacks; the signal would end torchrun itself, so its ranks get it from here
  trap 'kill -s USR1 $(cat /proc/"${pids[0]}"/task/*/children) || :' USR1
  trap 'deadline=0' TERM
  set -m # a process group of its own, so that what the launcher signals is this script alone
  "$python" -P -m torch.distributed.run --nnodes=12 --nproc-per-node=1 "--node-rank=$node_rank" \
    "--master-addr=$MASTER_ADDR" "--master-port=$MASTER_PORT" --max-restarts=0 --no-python \
    "$link/rank.sh" </dev/null &
  set +m
  pids=("$!")
  while ((${#pids[@]} > 0)); do
    sleep 0.3
    look_for_orders
    for index in "${!pids[@]}"; do
      if kill -0 "${pids[index]}" 2>/dev/null; then continue; fi
      code=0
      wait "${pids[index]}" || code=$?
      unset "pids[index]"
      if ((code > 0 && failed == 0)); then
        failed=$code deadline=${deadline:-$((SECONDS + 10))}
      fi
    done
    if [[ -n $deadline ]] && ((${#pids[@]} > 0 && SECONDS >= deadline)); then
      kill -TERM "${pids[@]}" 2>/dev/null || :
      deadline=$((SECONDS + 10)) # a rank that is told twice is killed
    fi
  done
  return "$failed"
}
main() { # read as a whole before it runs: what follows on the input is not for the shell
  local code=0
  look_at_input <&0 2>/dev/null &
  local input=$!
  spawn || code=$?
  kill "$input" 2>/dev/null || :
  exit "$code"
}
main
