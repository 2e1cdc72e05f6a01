# Helpers of the scripts that run ranks on two machines, each a network namespace with an address (10.99.77.1 and 2) and a
# name (machine1 and 2) of its own; sourced after ranks.sh, with what is tested as argument. Ends the script without the
# rights. Makes the command ./on: on NUMBER COMMAND... runs the command on a machine, where /etc/hosts is $work/etc-hosts.
spaces=p2p$$-
# end_machines: kills what still runs in the namespaces, as Open MPI's daemons do behind a cut link, and removes them.
end_machines() {
    local number
    for number in 1 2; do
        ip netns pids $spaces$number 2>/dev/null | xargs -r kill -KILL
        ip netns del $spaces$number 2>/dev/null
    done
}
trap 'end_machines; rm -rf "$work"' EXIT

# make_machines: two namespaces with a link between them. Fails without the rights.
make_machines() {
    local number
    for number in 1 2; do
        ip netns add $spaces$number && ip -n $spaces$number link set lo up || return
    done
    ip link add link1 netns ${spaces}1 type veth peer name link2 netns ${spaces}2 || return
    for number in 1 2; do
        ip -n $spaces$number addr add 10.99.77.$number/24 dev link$number && ip -n $spaces$number link set link$number up || return
    done
    printf '127.0.0.1 localhost\n10.99.77.1 machine1 first\n10.99.77.2 machine2 second\n' >etc-hosts
    printf '#!/bin/sh\nnumber=$1\nshift\nexec ip netns exec %s$number unshare --uts --mount %s/inside $number "$@"\n' \
        "$spaces" "$work" >on
    # Killed ranks leave segments of Open MPI in /dev/shm, which crash later ones of the same job number and machine.
    printf '#!/bin/sh\nmount --bind %s/etc-hosts /etc/hosts && mount -t tmpfs none /dev/shm && hostname machine$1 && shift && exec "$@"\n' "$work" >inside
    chmod +x on inside
    ./on 1 true
}

# cut_link: between the machines.
cut_link() {
    ip -n ${spaces}1 link set link1 down
}
if ! command -v ip >/dev/null || ! command -v unshare >/dev/null || ! make_machines 2>why.txt; then
    skipped "$1" "no network namespaces, or no mounts in them: $(head -n 1 why.txt 2>/dev/null)"
    exit 0
fi

is_openmpi() { [[ $launcher == *openmpi* ]]; }
# hosts_example OPTION...: writes the example of train/MACHINES.md for two machines to example.sh, with this program, the
# data `toys`, and options more. "MPICH is started by `mpirun ...`, with lines such as `first:4`".
hosts_example() {
    local page=$support/../../train/MACHINES.md
    sed -n 's/^    //; /^cat > hosts/,/^mpirun --hostfile hosts/p' "$page" |
        sed -e "s|/opt/p2p/p2p|$p2p|; s/DIR/toys/" -e "/^mpirun/s|\$| $*|" >example.sh
    is_openmpi || sed -i -e "s/^mpirun --hostfile hosts -np 8 /$(grep -o 'mpirun -f hosts [^`]*' "$page") /" \
        -e "s/ slots=4$/$(grep -o '`first:4`' "$page" | tr -d '\`a-z')/" example.sh
    grep -qE '^second( slots=4|:4)$' example.sh && grep -qE '^mpirun (--hostfile hosts|-f hosts -ppn 4) -np 8 .*p2p train .* --gpus 1 ' example.sh ||
        fail "there is no example: $(cat example.sh)"
}
