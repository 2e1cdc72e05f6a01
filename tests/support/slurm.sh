# Helpers of the scripts that run jobs of Slurm; sourced after machines.sh, with what is tested as argument. The two
# machines are a cluster of Slurm with 64 processors and 8 GPUs each, on paper, all of it in $work. Ends the script if
# Slurm is not installed.
PATH=$PATH:/usr/sbin
for command in slurmctld slurmd sbatch munged; do
    command -v $command >/dev/null && continue
    skipped "$1" "$command is not installed"
    exit 0
done
export SLURM_CONF=$work/slurm.conf TMPDIR=$work/tmp

write_configuration() {
    cat >slurm.conf <<CONF
ClusterName=p2p
SlurmctldHost=machine1(10.99.77.1)
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
SlurmUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd-%n.log
TmpFS=$work/tmp-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=machine1 NodeAddr=10.99.77.1 CPUs=64 Gres=gpu:8
NodeName=machine2 NodeAddr=10.99.77.2 CPUs=64 Gres=gpu:8
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    echo "CgroupPlugin=cgroup/v1" >cgroup.conf # nothing uses it, and v2 starts with groups of its own
    echo "Name=gpu File=$work/gpu[0-7]" >gres.conf
}

start_cluster() {
    local number
    mkdir state spool-machine1 spool-machine2 tmp tmp-machine1 tmp-machine2 && write_configuration || return
    for number in 0 1 2 3 4 5 6 7; do mknod gpu$number c 1 3 || return; done # /dev/null
    head -c 128 /dev/urandom >munge.key && chmod 600 munge.key || return
    ./on 1 munged --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
        --log-file="$work/munged.log" --seed-file="$work/munge.seed" && ./on 1 slurmctld || return
    ./on 1 slurmd && ./on 2 slurmd || return
    for _ in $(seq 300); do
        [ "$(./on 1 sinfo -h -o %D -t idle 2>/dev/null)" = 2 ] && return
        sleep 0.1
    done
    echo "the nodes of Slurm are not ready: $(./on 1 sinfo 2>&1)" >&2
    return 1
}
if ! start_cluster 2>why.txt; then
    skipped "$1" "Slurm does not start: $(tail -n 2 why.txt slurmctld.log slurmd-machine1.log 2>/dev/null | tr '\n' ' ')"
    exit 0
fi

# submit FOLDER OPTION... FILE: submits the batch file in a folder, with the options of sbatch, and sets `job` to the
# number of the job. It prints to FOLDER.err.
submit() {
    mkdir -p "tmp/$1" # a folder of its own for Open MPI: jobs that share one remove it when it is empty
    job=$(TMPDIR=$work/tmp/$1 ./on 1 sbatch --parsable --chdir="$1" --output="$work/$1.err" "${@:2}") || fail "$1: sbatch has failed"
}

# await_job JOB: waits until Slurm has ended it, 120 seconds at most.
await_job() {
    for _ in $(seq 600); do
        [ -n "$(./on 1 squeue -h -j "$1" -o %A 2>/dev/null)" ] || return 0
        sleep 0.2
    done
    fail "job $1 has not ended: $(./on 1 squeue)"
}
