#!/bin/bash
# The ranks of one node of 160M, started by pdsh from job.sh: docs/rank-contract.md
set -Eeuo pipefail
trap 'echo "node.sh: line $LINENO: $BASH_COMMAND ended with $?" >&2 && exit 1' ERR
run=/proj/me/runs/160M
link=/proj/me/runs/160M/links/1

# --- beside job.sh: pdsh calls this for each node, where a shell gets variables and then the rest ---
if [[ $1 == reach ]]; then # HOST NUMBER
  exec 4<&0                # from pdsh: it ends when pdsh is gone
  exec 5< <(
    exec 2>/dev/null
    declare -px MASTER_ADDR MASTER_PORT NEOX_JOB_ID OMP_NUM_THREADS
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
  local pids=() deadline='' failed=0 rank index code
  trap '' USR2
  trap 'kill -s USR1 "${pids[@]}" 2>/dev/null || :' USR1 # the watch asks for stacks
  trap 'deadline=0' TERM
  for ((index = 0; index < 1; index++)); do
    rank=$((node_rank * 1 + index))
    RANK=$rank LOCAL_RANK=$index WORLD_SIZE=12 "$link/rank.sh" </dev/null &
    pids+=("$!")
  done
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
