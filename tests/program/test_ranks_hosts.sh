#!/usr/bin/env bash
# Ranks on two machines, each a network namespace with an address and a name of its own, between which the launcher
# starts them as by ssh. They equal as many devices, bit for bit, also with several ranks on each machine, which send no more over the
# link than one. The page's example runs. If the link between the machines is cut, both ranks end, and what is left
# continues. Needs root.
#
#   tests/program/test_ranks_hosts.sh P2P BACKEND LAUNCHER
support=$(realpath "$(dirname "$0")/../support")
. "$support/expect.sh" "$1" "$2:0"
backend=$2
. "$support/ranks.sh" "$3"
. "$support/machines.sh" "ranks on two machines"

# What a launcher calls in place of ssh: agent [-x] ADDRESS COMMAND...
cat >agent <<END
#!/bin/sh
[ "\$1" = -x ] && shift
number=\${1##*.}
shift
exec $work/on \$number sh -c "\$*"
END
mkdir path
if is_openmpi; then
    way="--mca plm_rsh_agent $work/agent --mca oob_tcp_keepalive_time 5 -x P2P_RANK_TIMEOUT"
else
    way="-launcher ssh -launcher-exec $work/agent -localhost 10.99.77.1"
fi
printf '#!/bin/sh\nexec %s %s "$@"\n' "$launcher" "$way" >path/mpirun
chmod +x agent path/mpirun
export P2P_RANK_TIMEOUT=20
draw_toys 11
base=(--data toys --size 32 --ngf 4 --ndf 4 --seed 5 --checkpoint-every 3)

# apart COUNT COMMAND...: starts the command in COUNT ranks on each machine.
apart() {
    local hosts="-f $work/hosts -ppn $1" form='10.99.77.%d:%d\n'
    is_openmpi && hosts="--hostfile $work/hosts" form='10.99.77.%d slots=%d\n'
    # shellcheck disable=SC2059
    printf "$form" 1 "$1" 2 "$1" >hosts
    $limit ./agent 10.99.77.1 "$work/path/mpirun $hosts -np $((2 * $1)) ${*:2}"
}

echo "-- two machines equal two devices"
expect 0 "rank 1 on machine2: $backend:0" apart 1 "$p2p" train "${base[@]}" --backend "$backend" --out apart --epochs 2
if [ "$(nproc)" -gt 1 ]; then
    expect 0 "warning: a rank may use 1 of this machine's $(nproc) processors" \
        apart 1 taskset -c 0 "$p2p" train "${base[@]}" --backend "$backend" --out bound --steps 1
fi
expect 0 "" "$p2p" train "${base[@]}" --device "$backend:0,$backend:1" --out together --epochs 2
same_training apart together

echo "-- the example of train/MACHINES.md for two machines, with their addresses and a small network"
hosts_example --size 32 --ngf 4 --ndf 4 --backend "$backend" --epochs 1
sed -i 's/^first/10.99.77.1/; s/^second/10.99.77.2/' example.sh
expect 0 "batch: 16 pairs on each of 8 devices, 128 per step" \
    $limit ./agent 10.99.77.1 "PATH=$work/path:$PATH sh $work/example.sh"
printed "rank 4 on machine2: $backend:0," "the first rank of the second machine"
printed "rank 7 on machine2: $backend:3," "the last rank of the second machine"

echo "-- four ranks on each machine equal eight devices, and send as much as one would"
# eight STEPS OUT: trains in eight ranks. Adds what the first machine has sent to `sent`.
eight() {
    local before
    before=$(link_bytes)
    expect 0 "rank 7 on machine2" \
        apart 4 "$p2p" train "${wide[@]}" --backend "$backend" --gpus 1 --steps "$1" --out "$2"
    sent+=($(($(link_bytes) - before)))
}
link_bytes() {
    ip netns exec ${spaces}1 cat /sys/class/net/link1/statistics/tx_bytes
}
wide=(--data toys --size 32 --ngf 8 --ndf 8 --seed 5)
sent=()
eight 2 few
eight 8 many
devices=$backend:0,$backend:1,$backend:2,$backend:3
expect 0 "" "$p2p" train "${wide[@]}" --device "$devices,$devices" --steps 8 --out many1
same_training many many1
# Gradients in float64. Sums go to the second machine and return: each machine sends them once. MPICH finds that both
# machines are this one, and does not use the link.
bytes=$((8 * ($(sed -nE 's/^networks:.* with ([0-9]+) parameters.* with ([0-9]+)$/\1 + \2/p' err.txt))))
is_openmpi && { awk -v sent=$((sent[1] - sent[0])) -v bytes=$((6 * bytes)) \
    'BEGIN { print sent / bytes " times the gradients of six steps"; exit !(sent > 0.9 * bytes && sent < 1.5 * bytes) }' ||
    fail "the first machine has sent other amounts: ${sent[*]}, of gradients of $bytes bytes"; }

echo "-- the link is cut"
P2P_RANK_TIMEOUT=4 apart 1 "$p2p" train "${base[@]}" --backend "$backend" --out cut --epochs 100000 >cut.out 2>cut.err &
training=$!
for _ in $(seq 500); do
    [ -e cut/metrics.jsonl ] && [ "$(grep -c '"step"' cut/metrics.jsonl)" -gt 8 ] && break
    sleep 0.05
done
begun=$SECONDS
cut_link
for _ in $(seq 150); do
    [ -z "$(ranks_of cut)" ] && break
    sleep 0.1
done
[ -z "$(ranks_of cut)" ] || fail "a rank has not ended"
grep -qF "rank 1 on machine2 is lost: no sign of life for 4 s" cut.err || fail "rank 1 is not named: $(tail -n 5 cut.err)"
echo "both have ended after $((SECONDS - begun)) s"
end_machines # the launcher itself waits for the other machine
wait $training 2>/dev/null
expect 0 "devices: 1, and 2 before" "$p2p" train --out cut --resume --device "$backend:0" \
    --steps $(($(grep -c '"step"' cut/metrics.jsonl) + 20))

finish
