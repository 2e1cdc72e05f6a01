#!/usr/bin/env bash
# p2p pairs video with the real ffmpeg: how many frames of a clip it keeps, that they are the clip's, and that a playlist
# fetches nothing from the network.
#
#   tests/program/test_video.sh P2P PICTURES FFMPEG
pictures=$(realpath "$2") ffmpeg=$(realpath "$3")
. "$(dirname "$0")/../support/expect.sh" "$1" none
PATH=$(dirname "$ffmpeg"):$PATH

# Three seconds of 64 x 48 pixels, ten pictures per second: each second has a colour of its own.
"$ffmpeg" -nostdin -loglevel error -f lavfi -i color=red:s=64x48:r=10:d=1 -f lavfi -i color=lime:s=64x48:r=10:d=1 \
    -f lavfi -i color=blue:s=64x48:r=10:d=1 -filter_complex concat=n=3:v=1 -c:v mpeg4 -q:v 2 'walk 100%.mp4' ||
    fail "ffmpeg makes no clip"

# frames FPS COUNT: checks how many frames are kept, their names and their size.
frames() {
    expect 0 "made $2 frames in frames$1" "$p2p" pairs video 'walk 100%.mp4' "frames$1" --fps "$1"
    [ "$(cd "frames$1" && find . -type f | sort)" = "$(seq -f './walk 100%%-%06.0f.png' "$2")" ] ||
        fail "--fps $1: other files: $(ls -A "frames$1")"
    [ "$("$pictures" size "frames$1/walk 100%-000001.png")" = 64x48x3x8 ] || fail "--fps $1: frames of another size"
}
frames 1 3
frames 2 6
frames 10 30

# is_colour FRAME RED GREEN BLUE: checks the frame's mean colour, within what the codec loses.
is_colour() {
    local found
    found=$("$ffmpeg" -nostdin -loglevel error -i "file:$1" -vf scale=1:1:flags=area -f rawvideo -pix_fmt rgb24 - |
        od -An -tu1 | tr -s ' ')
    awk -v found="$found" -v red="$2" -v green="$3" -v blue="$4" '
        function far(a, b) { return a - b > 12 || b - a > 12 }
        BEGIN { split(found, c, " "); exit far(c[1], red) || far(c[2], green) || far(c[3], blue) }' ||
        fail "$1 has the colour$found, not $2 $3 $4"
}
is_colour 'frames2/walk 100%-000001.png' 255 0 0
is_colour 'frames2/walk 100%-000004.png' 0 255 0
is_colour 'frames2/walk 100%-000006.png' 0 0 255

echo "-- pairs of the frames"
expect 0 "made 6 pictures in grey" "$p2p" pairs grey frames2 grey
expect 0 "moved 6 pictures" "$p2p" pairs split grey

echo "-- a playlist brings nothing from elsewhere"
printf '#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n' >list.m3u8
expect 3 "ffmpeg can't read list.m3u8" "$p2p" pairs video list.m3u8 listed
printed "not on whitelist 'file'" "a playlist"
printf 'no video' >text.mp4
expect 3 "ffmpeg can't read text.mp4" "$p2p" pairs video text.mp4 listed
[ -z "$(ls -A listed 2>/dev/null)" ] || fail "a failure left files: $(ls -A listed)"
finish
