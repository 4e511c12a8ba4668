# Steps, waiting, and processes that end with the script. Sourced by scripts/demo after common.sh.

steps=9
step_number=0
step_text="getting ready"
step_started=$SECONDS
names=()  # what was started, and
pids=()   # its process, at the same place

# A process that loses its script ends too, where the system offers it.
leash=()
command -v setpriv >/dev/null 2>&1 && leash=(setpriv --pdeathsig TERM --)

step() {
    step_number=$((step_number + 1))
    step_text=$1
    step_started=$SECONDS
    printf '\n\033[1m[%d/%d] %s\033[0m\n' "$step_number" "$steps" "$1"
}

# Says what went wrong in which step, with the end of the log $2 if there is one, and ends.
broken() {
    printf '\n%s: step %d (%s) failed after %d s: %s\n' "$program" "$step_number" "$step_text" $((SECONDS - step_started)) "$1" >&2
    if [ -n "${2:-}" ] && [ -s "$2" ]; then
        printf -- '--- the end of %s\n' "$2" >&2
        tail -n 15 "$2" >&2
    fi
    exit 1
}

# start NAME COMMAND..: runs it beside, with its output in $demo/NAME.log.
start() {
    local name=$1
    shift
    # The lock of the script is not theirs.
    "${leash[@]}" "$@" </dev/null >>"$demo/$name.log" 2>&1 9>&- &
    names+=("$name")
    pids+=($!)
}

pid_of() {
    local n
    for n in "${!names[@]}"; do
        if [ "${names[n]}" = "$1" ]; then echo "${pids[n]}"; fi
    done
}

# Takes NAME off the list: its end is wanted.
forget() {
    local n
    for n in "${!names[@]}"; do
        if [ "${names[n]}" = "$1" ]; then unset "names[n]" "pids[n]"; fi
    done
    names=("${names[@]}") pids=("${pids[@]}")
}

# await SECONDS WHAT COMMAND..: until the command succeeds; shows that it waits, and sees when a process has ended.
await() {
    local limit=$1 what=$2 from=$SECONDS n
    shift 2
    printf '      waiting until %s ' "$what"
    until "$@" >/dev/null 2>&1; do
        for n in "${!pids[@]}"; do
            kill -0 "${pids[n]}" 2>/dev/null || broken "${names[n]} ended while waiting until $what" "$demo/${names[n]}.log"
        done
        [ $((SECONDS - from)) -lt "$limit" ] || broken "it took more than $limit s until $what; logs are in $demo" "$demo/${names[-1]}.log"
        printf '.'
        sleep 0.3
    done
    printf ' %d s\n' $((SECONDS - from))
}

# Ends what was started, the newest first, and waits for it.
end_all() {
    local n tries
    for ((n = ${#pids[@]} - 1; n >= 0; n--)); do kill -TERM "${pids[n]}" 2>/dev/null || true; done
    for ((n = ${#pids[@]} - 1; n >= 0; n--)); do
        tries=0
        while kill -0 "${pids[n]}" 2>/dev/null; do
            [ $((tries += 1)) -lt 100 ] || { kill -KILL "${pids[n]}" 2>/dev/null || true; break; }
            sleep 0.1
        done
        wait "${pids[n]}" 2>/dev/null || true
    done
    pids=() names=()
}
