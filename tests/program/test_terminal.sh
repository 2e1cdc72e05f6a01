#!/usr/bin/env bash
# A training in a terminal of 80, 60 and 40 columns, whose width changes while it runs.
#
#   tests/program/test_terminal.sh P2P DEVICE TMUX
. "$(dirname "$0")/../support/expect.sh" "$1" "$2"
program=$3 opened=0
export TERM=xterm-256color
unset NO_COLOR

# opens WIDTH COMMAND...: runs the command in a terminal that stays when it ends.
opens() {
    local width=$1
    shift
    opened=$((opened + 1))
    tmux=("$program" -f /dev/null -S "$work/socket$opened")
    "${tmux[@]}" new-session -d -x "$width" -y 30 "$* ; sleep 1000"
}

closes() {
    "${tmux[@]}" kill-server
}
trap 'closes 2>/dev/null; rm -rf "$work"' EXIT

# screen: prints the screen with its colours removed, and wrapped lines as they are shown.
screen() {
    "${tmux[@]}" capture-pane -p 2>/dev/null
}

# shows PATTERN WHAT: waits until a line of the screen matches.
shows() {
    for _ in $(seq 1000); do
        screen | grep -qE "$1" && return
        sleep 0.02
    done
    fail "$2: the screen has no $1: $(screen)"
}

# live WHAT: waits until there is one live line, which is the last one of the screen.
live() {
    local lines
    for _ in $(seq 100); do
        lines=$(screen | sed '/^ *$/d')
        [ "$(grep -cE '^(step )?[0-9]+/[0-9]+ ' <<<"$lines")" -eq 1 ] &&
            tail -n 1 <<<"$lines" | grep -qE '^(step )?[0-9]+/[0-9]+  L1 [0-9.]+  [0-9hdms]+ left' && return
        sleep 0.02
    done
    fail "$1: not one live line at the end: $lines"
}

draw_toys 8
training=("$p2p" train "${small[@]}" --steps 1000000)
for width in 80 60 40; do
    opens $width "${training[@]}" --out "at$width"
    shows "left" "$width columns"
    live "$width columns"
    closes
done

echo "-- another width while it runs"
opens 80 "${training[@]}" --out resized
shows "left +D [0-9.]+/[0-9.]+ +G" "80 columns"
for width in 40 60 40 80; do
    "${tmux[@]}" resize-window -x $width -y 30
    live "resized to $width"
done
shows "left +D [0-9.]+/[0-9.]+ +G" "80 columns again"

# The line is drawn again by itself during a long step.
closes
opens 80 "$p2p" train --data toys --size 64 --ngf 64 --ndf 64 --device "$device" --out slow
shows "left" "a slow step"
"${tmux[@]}" resize-window -x 40 -y 30
live "slow, 40"
closes

echo "-- lines of epochs and colours"
opens 80 "$p2p" train "${small[@]}" --epochs 3 --out epochs
shows "its course" "the end"
screen | grep -qE '^epoch 3/3  L1 .* D [0-9.]+/[0-9.]+$' || fail "no line of an epoch fits: $(screen)"
"${tmux[@]}" capture-pane -p -e | grep -q "$(printf '\033')\[32mepoch 1/3" || fail "the best epoch has no colour"
finish
