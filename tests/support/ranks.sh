# Helpers of the scripts that start ranks; sourced after expect.sh, with the launcher as argument: mpirun.openmpi or
# mpirun.mpich. Ends the script if it is not installed.
launcher=$1
if ! command -v "$launcher" >/dev/null; then
    skipped "ranks" "$launcher is not installed"
    exit 0
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # Open MPI's, in containers
export OMPI_MCA_pml=ob1                                          # without a search for other networks than TCP
[ "$launcher" = mpirun.openmpi ] && launcher="$launcher --oversubscribe"
limit="timeout -k 5 600" # seconds after which ranks that hang have failed the test
machine=$(hostname)

# devices COUNT: prints a list of that many devices.
devices() {
    seq -s, 0 $(($1 - 1)) | sed "s/[0-9]/$backend:&/g"
}

# run COUNT COMMAND...: starts the command in so many ranks.
run() {
    $limit $launcher -np "$@"
}

# messages: prints the messages of failures in err.txt. MPICH's launcher does not end processes that have not called MPI
# when another one fails, so each prints what all have found in their options; these count as one.
messages() {
    case $launcher in
    *openmpi*) grep '^p2p: ' err.txt ;;
    *) grep '^p2p: ' err.txt | sed -E 's/^p2p: rank [0-9]+ on [^:]+: /p2p: /' | sort -u ;;
    esac
}

# ranks_of OUT: prints the processes of the training that writes to OUT, without their launcher.
ranks_of() {
    local folder
    for folder in /proc/[0-9]*; do
        [ "$folder/exe" -ef "$p2p" ] || continue
        tr '\0' ' ' 2>/dev/null <"$folder/cmdline" | grep -qF -- "--out $1 " && echo "${folder#/proc/}"
    done
}

# launcher_of OUT: prints the process of the launcher of that training.
launcher_of() {
    local folder
    for folder in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$folder/cmdline" | grep -q "^${launcher%% *} .*--out $1 " && echo "${folder#/proc/}"
    done
}

# rank_of NUMBER OUT: prints the process of a rank of that training.
rank_of() {
    local process
    for process in $(ranks_of "$2"); do
        tr '\0' '\n' <"/proc/$process/environ" | grep -qxE "(OMPI_COMM_WORLD|PMI)_RANK=$1" && echo "$process"
    done
}

# ended OUT: waits until no rank of that training is left, 100 seconds at most.
ended() {
    for _ in $(seq 1000); do
        [ -z "$(ranks_of "$1")" ] && return
        sleep 0.1
    done
    fail "$1: a process remains: $(ranks_of "$1")"
}

# begin_ranks COUNT OUT STEPS OPTION...: begins a training in the background and waits until it has made more than STEPS
# steps.
begin_ranks() {
    local count=$1 out=$2 steps=$3
    shift 3
    run "$count" "$p2p" train --backend "$backend" --out "$out" "$@" >"$out.out" 2>"$out.err" &
    training=$!
    await_steps "$out" "$steps"
}

# beside FUNCTION ARGUMENT...: calls the function in the background, in a new folder, with three others at most: most of
# the time of these tests is waiting for time limits. together: waits for all, and counts those with failures.
beside_count=0
beside_running=()
beside() {
    local folder=$work/beside$((++beside_count))
    [ ${#beside_running[@]} -lt 4 ] || together
    mkdir "$folder"
    (
        cd "$folder" || exit
        # Launchers of Open MPI share a folder in /tmp otherwise, which each removes when it is empty. Once one of four
        # failed in orte_init.
        export OMPI_MCA_orte_tmpdir_base=$folder
        failures=0
        "$@"
        exit $((failures > 0))
    ) &
    beside_running+=($!)
}
together() {
    local process
    for process in "${beside_running[@]}"; do wait "$process" || failures=$((failures + 1)); done
    beside_running=()
}

# differ FILE FILE PART BOUND: checks that tensors of two files differ by no more than the bound.
differ() {
    "$compare" "$@" >difference.txt || fail "$1 and $2: $(cat difference.txt)"
    echo "$1 and $2: $(cat difference.txt)"
}

# same_training OUT OUT: checks that weights and losses are equal. The ranks of two machines have devices of one name, so
# metadata and the first line of losses differ.
same_training() {
    local model
    for model in generator discriminator; do same_weights "$1/$model.safetensors" "$2/$model.safetensors"; done
    [ "$(losses "$1/metrics.jsonl" | sed 1d)" = "$(losses "$2/metrics.jsonl" | sed 1d)" ] || fail "$2: other losses than $1"
}
