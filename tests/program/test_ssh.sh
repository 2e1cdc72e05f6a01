#!/usr/bin/env bash
# The example of train/MACHINES.md for two machines by a real sshd, exactly as printed but for the program's path, the data
# and a small network: its ranks equal as many devices, bit for bit. If the rank of the second machine is killed or the
# link is cut, all end, and what is left continues. Needs root.
#
#   tests/program/test_ssh.sh P2P BACKEND LAUNCHER
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2
. "$support/ranks.sh" "$3"
for command in /usr/sbin/sshd ssh ssh-keygen; do
    command -v $command >/dev/null && continue
    skipped "ranks by ssh" "$command is not installed"
    exit 0
done
. "$support/machines.sh" "ranks by ssh"

# start_sshd: on both machines, because MPICH starts the first one's ranks by ssh too, with keys, settings and a port of its
# own, which ./first has for ssh.
start_sshd() {
    ssh-keygen -q -t ed25519 -N '' -f host_key && ssh-keygen -q -t ed25519 -N '' -f user_key || return
    printf '[first]:2222,[second]:2222 %s\n' "$(cat host_key.pub)" >known_hosts
    cp user_key.pub authorized_keys
    cat >sshd_config <<CONF
Port 2222
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
SetEnv "P2P_CACHE_DIR=${P2P_CACHE_DIR:-}" "ASAN_OPTIONS=${ASAN_OPTIONS:-}"
CONF
    cat >ssh_config <<CONF
Host first second
    Port 2222
    User root
    IdentityFile $work/user_key
    IdentitiesOnly yes
    UserKnownHostsFile $work/known_hosts
    StrictHostKeyChecking yes
    BatchMode yes
CONF
    local number
    for number in 1 2; do
        ./on $number sh -c "mount -t tmpfs none /run && mkdir /run/sshd && /usr/sbin/sshd -f $work/sshd_config -E $work/sshd.log" || return
    done
    # The launcher's machine has these settings in /etc/ssh.
    printf '#!/bin/sh\nexec ./on 1 sh -c "mount --bind %s/ssh_config /etc/ssh/ssh_config && %s" sh "$@"\n' \
        "$work" 'exec \"\$@\"' >first
    chmod +x first
    [ "$(./first ssh second hostname)" = machine2 ]
}
if ! start_sshd 2>why.txt; then
    skipped "ranks by ssh" "no sshd: $(tail -n 2 why.txt sshd.log 2>/dev/null | tr '\n' ' ')"
    exit 0
fi
ssh -V
mkdir path
printf '#!/bin/sh\nexec %s "$@"\n' "${launcher%% *}" >path/mpirun
chmod +x path/mpirun
export PATH=$work/path:$PATH
draw_toys 11
tiny="--size 32 --ngf 4 --ndf 4 --seed 5"

echo "-- the example equals eight devices, bit for bit"
hosts_example $tiny --backend "$backend" --epochs 2
expect 0 "batch: 16 pairs on each of 8 devices, 128 per step" $limit ./first sh example.sh
printed "rank 4 on machine2: $backend:0," "the first rank of the second machine"
printed "rank 7 on machine2: $backend:3," "the last rank of the second machine"
four=$(devices 4)
expect 0 "" "$p2p" train --data toys $tiny --device "$four,$four" --batch 16 --epochs 2 --out devices
same_training devices run

# begin_apart OUT: begins a training of a rank on each machine, in the background.
begin_apart() {
    local hosts="-hosts first,second -ppn 1"
    is_openmpi && hosts="--host first:1,second:1"
    $limit ./first mpirun $hosts -np 2 "$p2p" train --data toys $tiny --backend "$backend" --checkpoint-every 3 \
        --out "$1" --epochs 100000 >"$1.out" 2>"$1.err" &
    training=$!
    await_steps "$1" 8
}
# lost OUT REASON: checks that the rank of the second machine is named, and the command that continues.
lost() {
    grep -qF "p2p: rank 1 on machine2 is lost: $2" "$1.err" || fail "$1: rank 1 is not named: $(tail -n 9 "$1.err")"
    grep -q "^hint: continue from the last checkpoint, on what is left, under mpirun .*, with: .*--resume" "$1.err" ||
        fail "$1: no hint: $(tail -n 9 "$1.err")"
}

echo "-- the rank of the second machine is killed"
begin_apart killed
kill -KILL "$(rank_of 1 killed)"
wait $training && fail "the launcher succeeds"
ended killed
is_openmpi && lost killed "its process has ended or its machine is out of reach" # MPICH's launcher kills the others at once
next=$(($(grep -c '"step"' killed/metrics.jsonl) + 4))
expect 0 "continuing after step" $limit ./first mpirun $(is_openmpi && echo --host first:1,second:1 || echo -hosts first,second -ppn 1) \
    -np 2 "$p2p" train --out killed --resume --backend "$backend" --steps $next
expect 0 "" "$p2p" train --data toys $tiny --device "$(devices 2)" --checkpoint-every 3 --epochs 100000 --steps $next --out straight
for model in generator discriminator; do same_weights straight/$model.safetensors killed/$model.safetensors; done

echo "-- the link is cut"
begin_apart cut
begun=$SECONDS
cut_link
ended cut
echo "both ranks have ended after $((SECONDS - begun)) s"
lost cut "no sign of life for 20 s"
for _ in $(seq 100); do
    kill -0 $training 2>/dev/null || break
    sleep 0.1
done
kill -0 $training 2>/dev/null && echo "the launcher still waits for the second machine"
end_machines
wait $training 2>/dev/null
expect 0 "devices: 1, and 2 before" "$p2p" train --out cut --resume --device "$backend:0" \
    --steps $(($(grep -c '"step"' cut/metrics.jsonl) + 4))

finish
