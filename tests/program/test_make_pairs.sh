#!/usr/bin/env bash
# p2p pairs: what each subcommand makes, every refusal, equal bits for any number of threads, interruptions, and what
# check finds in folders with planted faults.
#
#   tests/program/test_make_pairs.sh P2P PICTURES COMPARE_EDGES
#
# PICTURES and COMPARE_EDGES: the tools of tests/support and tests/train/pairs.
pictures=$(realpath "$2") compare_edges=$(realpath "$3")
. "$(dirname "$0")/../support/expect.sh" "$1" none
make=("$p2p" pairs)

# has FILE SIZE: checks a picture's size, channels and bits, as 128x64x3x8.
has() {
    [ "$("$pictures" size "$1")" = "$2" ] || fail "$1 is $("$pictures" size "$1"), not $2"
}

# differ FILE FILE: prints the largest difference of two pictures' samples.
differ() {
    "$pictures" difference "$1" "$2"
}

# half FILE left|right OUT
half() {
    local width height
    IFS=x read -r width height _ <<<"$("$pictures" size "$1")"
    "$pictures" crop "$1" $((${2/left/0} == 0 ? 0 : width / 2)) 0 $((width / 2)) "$height" "$3"
}
left=0 right=1

# no_partial FOLDER: checks that there are no temporary files.
no_partial() {
    [ -z "$(find "$1" -name '.*' ! -path "$1")" ] || fail "$1 has temporary files: $(find "$1" -name '.*')"
}

# ---- Photographs: B of generated pairs, and their outlines, A ----

"$p2p" sample-data toys --count 10 --size 64 >/dev/null 2>&1 || fail "no data"
mkdir outlines photos photos/more
for file in toys/train/*.jpg; do
    name=$(basename "$file" .jpg)
    half "$file" left "outlines/$name.png"
    half "$file" right "photos/$name.png"
done
cp photos/00001.png photos/more/deep.png

echo "-- usage"
"$p2p" help pairs >help.txt || fail "no help"
grep -E "p2p tune|--tune|--deterministic" help.txt && fail "the help names what p2p pairs has not"
grep -q "  --seed N .*blank: " help.txt || fail "the help does not say what --seed is for"
grep -q "  --pairs .*$" help.txt && grep -q "resize: side-by-side" help.txt || fail "the help lacks --pairs of resize"
"$p2p" help train | grep "resize: side-by-side" && fail "the help of p2p train describes p2p pairs"
expect 2 "no subcommand" "${make[@]}"
printed "hint: they are combine, split, resize, edges, grey, lowres, blank, video, check" "p2p pairs"
expect 2 "'frob' is not a subcommand" "${make[@]}" frob
expect 2 "takes 3 arguments, A B OUT: 2 given" "${make[@]}" combine outlines photos
expect 2 "takes 2 arguments, FOLDER OUT: 3 given" "${make[@]}" grey photos out extra
expect 2 "--factor has no effect on p2p pairs grey" "${make[@]}" grey photos out --factor 4
expect 2 "--fit has no effect without --size" "${make[@]}" grey photos out --fit pad
expect 2 "--size is missing" "${make[@]}" resize photos out
expect 2 "--factor: 1 is outside 2 to 64" "${make[@]}" lowres photos out --factor 1
expect 3 "there is no folder nowhere" "${make[@]}" grey nowhere out
expect 2 "lie in each other" "${make[@]}" grey photos photos/results
expect 2 "lie in each other" "${make[@]}" grey photos/more photos
expect 2 "lie in each other" "${make[@]}" combine outlines photos outlines
mkdir empty
expect 3 "empty holds no pictures" "${make[@]}" grey empty out
[ -e out ] && fail "a refused command has made a folder"

# ---- A and B of each subcommand ----

# derives KIND CHANNELS: makes pairs of the photographs in KIND, and A alone, with so many channels, in KIND-only. Each pair
# must have that A at its left, and the photograph at its right.
derives() {
    expect 0 "made 11 pictures in $1" "${make[@]}" "$1" photos "$1"
    printed "next: p2p pairs split $1" "$1"
    printed "picture 11/11  0s left" "$1" # the last picture has a line, however fast it comes
    expect 0 "made 11" "${make[@]}" "$1" photos "$1-only" --input-only
    has "$1-only/00003.png" "64x64x$2x8"
    has "$1/more/deep.png" 128x64x3x8
    expect 0 "made 11" "${make[@]}" combine "$1-only" photos "$1-joined"
    diff -rq -x pairs.json "$1" "$1-joined" || fail "$1: A is not that of --input-only, or B not the photograph"
    half "$1/00003.png" right b.png
    [ "$(differ b.png photos/00003.png)" = 0 ] || fail "$1: B is not the photograph"
}

echo "-- one picture from one"
derives grey 1
expect 0 "made 11" "${make[@]}" grey photos grey-jpeg --format jpg
has grey-jpeg/00003.jpg 128x64x3x8

# reduces FOLDER SIZE: checks that A of a pair is its photograph made smaller, to SIZE, and larger again.
reduces() {
    expect 0 "made 11" "${make[@]}" resize photos "small$2" --size "$2"
    expect 0 "made 11" "${make[@]}" resize "small$2" "large$2" --size 64
    half "$1/00003.png" left a.png
    [ "$(differ a.png "large$2/00003.png")" = 0 ] || fail "$1: A is not the picture made smaller and larger again"
}
derives lowres 3 # by 4
reduces lowres 16
expect 0 "made 11" "${make[@]}" lowres photos lowres3 --factor 3
reduces lowres3 21

derives blank 3
expect 0 "made 11" "${make[@]}" blank photos blank7 --seed 7
expect 0 "made 10" "${make[@]}" blank outlines blank-white --input-only
for name in blank-white/*.png; do # seen in white surroundings too
    [ "$(differ "$name" "outlines/${name#*/}")" -ge 127 ] || fail "$name: the hole is not seen"
done
cmp -s blank/00003.png blank7/00003.png && fail "blank: --seed changes nothing"
cp -r photos moved
expect 0 "made 11" "${make[@]}" blank moved blank-moved
diff -rq -x pairs.json blank blank-moved || fail "blank: the holes depend on the folder"
expect 0 "made 10" "${make[@]}" blank outlines blank5 --input-only --holes 5
for name in blank5/*.png; do # the first hole is that of one hole alone
    [ "$("$pictures" l1 "$name" "outlines/${name#*/}")" != "$("$pictures" l1 "blank-white/${name#*/}" "outlines/${name#*/}")" ] ||
        fail "$name: five holes cover as much as one"
done

# draws_lines FOLDER SMOOTHING DETAIL SHORTEST F1: compares A of its pairs with the lines that these options draw of B.
draws_lines() {
    "$compare_edges" right "$2" "$3" "$4" "$1" >lines.txt || fail "$1: can't be compared"
    grep -q "^mean of 11 pairs: .*F1 $5\$" lines.txt || fail "$1: A has other lines than B: $(tail -n 1 lines.txt)"
}
derives edges 1
draws_lines edges 2 0.2 10 1.000
expect 0 "made 11" "${make[@]}" edges photos edges-more --detail 0.8 --smoothing 1 --shortest 3
draws_lines edges-more 1 0.8 3 1.000
cmp -s edges/00003.png edges-more/00003.png && fail "edges: the options change nothing"
expect 0 "made 11" "${make[@]}" edges photos edges-none --input-only --shortest 1000 # longer than any line
mkdir dot && "$pictures" crop edges-none/00003.png 0 0 1 1 dot/dot.png
expect 0 "made 1" "${make[@]}" resize dot plain --size 64
for name in edges-none/*.png; do
    [ "$(differ "$name" plain/dot.png)" = 0 ] || fail "$name: --shortest 1000 leaves lines"
done
[ "$(differ edges-none/00003.png edges-only/00003.png)" = 255 ] || fail "edges: A has no lines"

echo "-- sizes"
mkdir wide
"$pictures" crop photos/00001.png 0 0 64 32 wide/w.png
expect 0 "made 1 picture in crop" "${make[@]}" resize wide crop --size 32
"$pictures" crop photos/00001.png 16 0 32 32 middle.png
[ "$(differ crop/w.png middle.png)" = 0 ] || fail "resize: --fit crop is not the middle"
expect 0 "made 1" "${make[@]}" resize wide pad --size 64 --fit pad
has pad/w.png 64x64x3x8
"$pictures" crop pad/w.png 0 16 64 32 middle.png
[ "$(differ middle.png wide/w.png)" = 0 ] || fail "resize: --fit pad has not the whole picture"
expect 0 "made 1" "${make[@]}" resize wide smooth --size 32 --fit stretch
has smooth/w.png 32x32x3x8
expect 0 "made 1" "${make[@]}" resize wide stretch --size 32 --fit stretch --resize nearest
has stretch/w.png 32x32x3x8
[ "$(differ stretch/w.png smooth/w.png)" != 0 ] || fail "resize: --resize nearest changes nothing"
for x in 0 5 17 31; do # the pixel at the middle, unmixed
    "$pictures" crop stretch/w.png $x 0 1 32 nearest.png
    "$pictures" crop wide/w.png $((2 * x + 1)) 0 1 32 middle.png
    [ "$(differ nearest.png middle.png)" = 0 ] || fail "resize: --resize nearest mixes colours in column $x"
done
expect 0 "made 1" "${make[@]}" grey wide both --size 32
has both/w.png 64x32x3x8
expect 0 "made 10" "${make[@]}" resize toys/train halves --size 32 --pairs side-by-side
has halves/00003.png 64x32x3x8
half halves/00003.png left a.png
half toys/train/00003.jpg left whole.png && mkdir whole && mv whole.png whole
expect 0 "made 1" "${make[@]}" resize whole shrunk --size 32
[ "$(differ a.png shrunk/whole.png)" = 0 ] || fail "resize of halves is not that of each half"
"$pictures" crop photos/00001.png 0 0 33 32 odd.png && mkdir odd && mv odd.png odd
expect 3 "odd.png is 33 pixels wide" "${make[@]}" resize odd out --size 32 --pairs side-by-side
"$pictures" crop photos/00001.png 0 0 64 1 flat.png && mkdir flat && mv flat.png flat
expect 3 "would make it 65536 x 1024" "${make[@]}" resize flat out --size 1024
printed "hint: --fit pad" "resize of a line"

echo "-- two folders"
expect 3 "more/deep.png has no partner" "${make[@]}" combine outlines photos shoes
expect 0 "made 10 pictures in shoes, left out 1" "${make[@]}" combine outlines photos shoes --on-bad-image skip
half shoes/00003.png left a.png
half shoes/00003.png right b.png
[ "$(differ a.png outlines/00003.png)$(differ b.png photos/00003.png)" = 00 ] || fail "combine: not A and B"
mkdir single && cp outlines/00001.png single/w.png
expect 3 "a pair's pictures must be equally large" "${make[@]}" combine single wide out
printed "hint: --size N makes both N x N" combine
expect 0 "made 1" "${make[@]}" combine single wide sized --size 32
has sized/w.png 64x32x3x8
expect 0 "made 11" "${make[@]}" combine grey-only photos mixed # grey and RGB
has mixed/00003.png 128x64x3x8
cmp mixed/00003.png grey/00003.png || fail "combine of the grey pictures is not that of p2p pairs grey"

echo "-- photographs that EXIF turns"
mkdir upright sideways
"$pictures" crop photos/00001.png 0 0 48 64 upright/a.jpg
turn upright/a.jpg 6 sideways/a.jpg
expect 0 "made 1" "${make[@]}" grey sideways sideways-grey
has sideways-grey/a.png 128x48x3x8
expect 3 "upright/a.jpg is 48 x 64 pixels, but sideways/a.jpg is 64 x 48" "${make[@]}" combine upright sideways out
turn upright/a.jpg 3 sideways/a.jpg # upside down
expect 0 "made 1" "${make[@]}" combine upright sideways opposite
half opposite/a.png left a.png
half opposite/a.png right b.png
"$pictures" crop a.png 0 0 1 1 first.png && "$pictures" crop b.png 47 63 1 1 last.png
[ "$(differ first.png last.png)" = 0 ] && [ "$(differ a.png b.png)" != 0 ] || fail "combine: a picture is not turned"

echo "-- bad pictures"
mkdir bad && cp photos/0000[1-4].png bad
head -c 700 photos/00002.png >bad/00002.png
echo text >bad/00003.png
expect 3 "bad/00003.png is neither a JPEG" "${make[@]}" grey bad out
expect 0 "made 2 pictures in good, left out 2" "${make[@]}" grey bad good --on-bad-image skip
expect 3 "allowed for pictures" "${make[@]}" edges photos out --memory 1M --size 4096
no_partial good
cp photos/00001.png bad/00001.jpg
expect 2 "would both be written to out/00001.png" "${make[@]}" grey bad out --on-bad-image skip

echo "-- pictures that are not read"
mkdir phone && cp photos/00001.png phone && touch phone/IMG_1.HEIC phone/b.tif phone/c.webp phone/notes.txt
expect 0 "phone: 3 pictures have suffixes that are not read, such as IMG_1.HEIC; convert them to PNG or JPEG" "${make[@]}" grey phone phone-grey
expect 3 "phone: 3 pictures have" "${make[@]}" check phone
expect 0 "moved 1 picture of phone" "${make[@]}" split phone --val 0 --test 0
printed "phone: 3 pictures have" split
mv phone/b.tif phone/train
expect 0 "phone: 2 pictures have" "${make[@]}" split phone
rm phone/train/00001.png phone/IMG_1.HEIC phone/c.webp
expect 3 "phone holds no pictures by suffixes that are read, but 1 other, such as train/b.tif" "${make[@]}" grey phone out
printed "hint: convert them to PNG or JPEG" grey

echo "-- nothing is overwritten"
before=$(stat -c %Y.%i grey/00003.png)
rm grey/00005.png
expect 0 "made 1 picture in grey, kept 10 that were there" "${make[@]}" grey photos grey
[ "$before" = "$(stat -c %Y.%i grey/00003.png)" ] || fail "a picture was made again"
expect 2 "pairs.json: the pictures of this folder were made from other folders, or otherwise" "${make[@]}" grey photos grey --size 32
expect 2 "pairs.json" "${make[@]}" lowres photos grey
expect 2 "pairs.json" "${make[@]}" grey moved grey
sed -i 's/png/jpg/' grey-only/pairs.json
expect 3 "grey-only/pairs.json" "${make[@]}" grey photos grey-only --input-only
mkdir mine && cp photos/00003.png mine
expect 2 "mine/00003.png exists already" "${make[@]}" grey photos mine
printed "hint: choose another folder" grey
same mine/00003.png photos/00003.png

echo "-- any number of threads"
for kind in edges lowres blank; do
    expect 0 "made 11" "${make[@]}" $kind photos $kind-one --workers 1
    expect 0 "made 11" "${make[@]}" $kind photos $kind-four --workers 4 --memory 2M
    diff -rq -x pairs.json $kind-one $kind-four || fail "$kind: the number of threads changes the pictures"
    diff -rq -x pairs.json $kind $kind-one || fail "$kind: a second run makes other pictures"
done

mkdir many
for i in $(seq 30); do ln -s ../toys/train/00001.jpg many/$i.jpg; done
# Smoothing takes long enough that signals arrive, and threads are counted, in the middle.
slow=("${make[@]}" edges many --size 256 --smoothing 16)
# threads OUT OPTION...: prints the most threads that the run has at once.
threads() {
    local most=0 now
    "${slow[@]}" "$@" >out.txt 2>err.txt &
    while kill -0 $! 2>/dev/null; do
        now=$(ls /proc/$!/task 2>/dev/null | wc -l)
        [ "$now" -gt "$most" ] && most=$now
        sleep 0.01
    done
    wait $! || fail "$1: $(tail -n 1 err.txt)"
    echo "$most"
}
one=$(threads threads1 --workers 1) five=$(threads threads5 --workers 5) all=$(threads threads)
[ $((five - one)) -eq 4 ] || fail "five workers are $((five - one + 1)) threads"
processors=$(getconf _NPROCESSORS_ONLN)
[ $((all - one)) -eq $(((processors < 30 ? processors : 30) - 1)) ] || fail "without --workers: $((all - one + 1)) threads for $processors processors"

echo "-- interruptions"
slow+=(--workers 2)
expect 0 "made 30" "${slow[@]}" whole-run

# interrupt SIGNAL OUT: begins the run and sends the signal once there is a picture.
interrupt() {
    env --default-signal=INT,TERM,HUP "${slow[@]}" "$2" >out.txt 2>err.txt &
    local run=$!
    for _ in $(seq 1000); do
        [ -n "$(find "$2" -name '*.png' 2>/dev/null)" ] && break
        sleep 0.01
    done
    kill "-$1" $run
    wait $run
    status=$?
    made=$(find "$2" -name '[0-9]*.png' | wc -l)
    [ "$made" -lt 30 ] || fail "SIG$1 came too late"
}
interrupt KILL killed
for file in killed/[0-9]*.png; do same "$file" "whole-run/$(basename "$file")"; done
expect 0 "kept $made that were there" "${slow[@]}" killed
diff -r -x pairs.json killed whole-run || fail "after SIGKILL: other pictures"
no_partial killed
interrupt TERM stopped
[ $status -eq 143 ] || fail "SIGTERM: exit code $status"
printed "stopped by SIGTERM after $made of 30 pictures, which are complete" SIGTERM
printed "hint: the same command makes the rest" SIGTERM
no_partial stopped
expect 0 "kept $made that were there" "${slow[@]}" stopped
diff -r -x pairs.json stopped whole-run || fail "after SIGTERM: other pictures"

# interrupt_once COMMAND...: begins the command, and sends SIGINT once it handles it. Sets status.
interrupt_once() {
    env --default-signal=INT "$@" >out.txt 2>err.txt &
    for _ in $(seq 1000); do
        grep -qE '^SigCgt:.*[2367abef]$|^State:.Z' /proc/$!/status 2>/dev/null && break
        sleep 0.01
    done
    kill -INT $!
    wait $!
    status=$?
}
# stop COMMAND...: the same, and the command has to be stopped by it.
stop() {
    interrupt_once "$@"
    [ $status -eq 130 ] || fail "Ctrl-C: exit code $status: $*: $(tail -n 2 err.txt)"
}
mkdir looked looked/train
for i in $(seq 600); do ln -s ../../toys/train/00001.jpg "looked/train/$i.jpg"; done
stop "${make[@]}" check looked --workers 1
printed "stopped by Ctrl-C (SIGINT) after " check
printed " of 600 pictures" check
grep -qE "complete|the same command" err.txt && fail "check: what was made is named: $(cat err.txt)"
stop "$p2p" sample-data drawn --count 600 --size 128
made=$(find drawn -name '*.jpg' | wc -l)
printed "stopped by Ctrl-C (SIGINT) after $made of 900 pictures, which are complete" sample-data
printed "hint: the same command draws the rest" sample-data
no_partial drawn
# It takes a fraction of a second, and on a busy machine may end before the signal: it is then begun anew.
for _ in $(seq 50); do
    rm -rf sorted && mkdir sorted
    (cd sorted && seq -f '%.0f.png' 10000 | xargs touch)
    interrupt_once "${make[@]}" split sorted
    [ $status -eq 0 ] || break
done
[ $status -eq 130 ] || fail "Ctrl-C: exit code $status: split: $(tail -n 2 err.txt)"
printed "stopped by Ctrl-C (SIGINT)" split
printed "hint: the same command moves the rest" split
expect 0 "moved " "${make[@]}" split sorted
[ "$(find sorted/* -name '*.png' | wc -l)" -eq 10000 ] || fail "split: pictures are missing after Ctrl-C"

echo "-- split"
mkdir set
for i in $(seq 200); do echo "$i" >"set/picture $i.png"; done # the names decide
cp -r set set2
expect 0 "moved 200 pictures of set" "${make[@]}" split set
for name in val test; do
    count=$(find set/$name -type f | wc -l)
    [ "$count" -ge 8 ] && [ "$count" -le 35 ] || fail "split: $count of 200 pictures are in $name"
done
[ "$(find set -type f | wc -l)" -eq 200 ] || fail "split has lost pictures"
find set -type f | sort >first.txt
for i in $(seq 201 260); do echo "$i" >"set/picture $i.png"; done
expect 0 "moved 60 pictures" "${make[@]}" split set
find set -type f | sort | comm -13 - first.txt | grep . && fail "split: added pictures moved earlier ones"
for i in $(seq 201 260); do echo "$i" >"set2/picture $i.jpg"; done # another suffix, and all at once
expect 0 "moved 260 pictures" "${make[@]}" split set2 --val 10 --test 10%
diff <(cd set && find . -type f | sed 's/\.[a-z]*$//' | sort) <(cd set2 && find . -type f | sed 's/\.[a-z]*$//' | sort) ||
    fail "split depends on more than the names"
expect 0 "moved 0 pictures" "${make[@]}" split set
cp photos/00002.png "set/$(basename "$(find set/val -type f | head -n 1)")"
expect 2 "exists already" "${make[@]}" split set
mkdir -p two/A two/B
for i in $(seq 20); do echo A >two/A/$i.png && echo B >two/B/$i.jpg; done
expect 0 "moved 40 pictures" "${make[@]}" split two --val 30% --test 0
diff <(ls two/val/A) <(ls two/val/B | sed 's/jpg/png/') || fail "split: A and B of a pair are apart"
[ -e two/test ] && fail "split: --test 0 made pictures for test"
mkdir linked && ln -s ../photos linked/others && echo own >linked/own.png
expect 2 "linked/others/00001.png is a symbolic link, or lies behind one" "${make[@]}" split linked
[ -e linked/own.png ] && [ -e photos/00001.png ] || fail "split: a refused command has moved something"
# unmoved TEXT: checks that the split of `home` is refused for this reason and moves nothing.
unmoved() {
    find home | sort >before.txt
    expect 2 "$1" "${make[@]}" split home
    find home | sort | cmp -s - before.txt || fail "split: a refused command has moved something"
}
mkdir -p home/train home/run/samples home/measured/generated
echo old >home/train/old.png && echo new >home/new.png
echo grid >home/run/samples/epoch1.png && echo '{}' >home/run/metrics.jsonl
echo drawn >home/measured/generated/1.png && echo '{}' >home/measured/metrics.json
unmoved "home/measured/metrics.json shows that its folder holds results"
printed "hint: move the results out of home first" split
rm -r home/measured
unmoved "home/run/metrics.jsonl shows"
rm -r home/run
for folder in shoes/train shoes/valA shoes/A/test A/shoes/train_B; do
    mkdir -p "home/$folder" && echo other >"home/$folder/1.png"
    unmoved "home/$folder is the split of another data set"
    rm -r "home/$folder"
done
mkdir -p home/training home/train/run/samples # a folder of another name, and results where nothing is moved
echo 2 >home/training/2.png && echo '{}' >home/train/run/metrics.jsonl && echo grid >home/train/run/samples/1.png
expect 0 "moved 2 pictures of home" "${make[@]}" split home --val 0 --test 0
[ -e home/train/training/2.png ] && [ -e home/train/run/samples/1.png ] || fail "split: moved to another place"
mkdir few few2 && for i in 1 2 3; do echo $i >few/$i.png && echo $i >few2/$i.png; done
expect 0 "val is empty: 0.1% of 3 pictures is 0.003 on average; move some from few/train to few/val by hand" "${make[@]}" split few --val 0.1 --test 0
[ "$(find few/train -type f | wc -l)" -eq 3 ] || fail "split: the line about val names another folder"
grep -q "test is empty" err.txt && fail "split: test has no share, but is missed"
mkdir few/val && mv few/train/1.png few/val && echo 4 >few/4.png # val has one already
expect 0 "moved 1 picture of few" "${make[@]}" split few --val 0.1 --test 0
grep -q "is empty" out.txt err.txt && fail "split: a split with pictures is called empty"
mkdir few2/A few2/B && mv few2/*.png few2/A && cp few2/A/* few2/B
expect 0 "to few2/val by hand, in A and B alike" "${make[@]}" split few2 --val 0.1 --test 0
expect 2 "no share of 0% to 100%" "${make[@]}" split set --val much
expect 2 "are more than 100% together" "${make[@]}" split set --val 60% --test 50%
expect 3 "holds no pictures" "${make[@]}" split empty
expect 3 "nowhere" "${make[@]}" split nowhere

# Pictures that are added to the sources later are made and split, the others stay.
expect 0 "moved 10 pictures of shoes" "${make[@]}" split shoes --val 40%
cp photos/00001.png photos/new.png && cp outlines/00001.png outlines/new.png
expect 0 "made 1 picture in shoes, kept 10 that were there, left out 1" "${make[@]}" combine outlines photos shoes --on-bad-image skip
expect 0 "moved 1 picture of shoes" "${make[@]}" split shoes --val 40%
rm photos/new.png outlines/new.png

echo "-- portraits"
mkdir portraits
for i in 1 2 3 4 5 6 7 8; do "$pictures" crop photos/0000$i.png 0 0 48 64 portraits/$i.png; done
expect 0 "made 8" "${make[@]}" grey portraits faces # 96 x 64, the shape of a photograph
expect 3 "8 problems" "${make[@]}" check faces
printed "hint: if pictures with the shape of a single one are pairs, as those of portraits are, give --pairs side-by-side" check
expect 0 "no problems" "${make[@]}" check faces --pairs side-by-side
expect 0 "moved 8" "${make[@]}" split faces --val 20% --test 0
printed "next: p2p train --data faces --out run --pairs side-by-side" split
tiny=(--size 32 --ngf 4 --ndf 4 --device reference:0 --steps 1)
expect 3 "the shape of a single picture" "$p2p" train --data faces --out faces-run "${tiny[@]}"
expect 0 "train: " "$p2p" train --data faces --out faces-run --pairs side-by-side "${tiny[@]}"
mkdir lone && cp portraits/* lone # photographs, which are no pairs
expect 0 "moved 8" "${make[@]}" split lone
grep -q "next: .*side-by-side" err.txt && fail "split: photographs are taken for pairs"
echo "-- video"
printf 'video' >'walk 100%.mp4'
mkdir bin
expect 1 "the program ffmpeg is not installed" env PATH="$PWD/nothing" "${make[@]}" video 'walk 100%.mp4' frames
printed "hint: ffmpeg reads videos: install it" video
# In place of ffmpeg: writes the photographs as frames, to the pattern that is its last argument.
cat >bin/ffmpeg <<'FFMPEG'
#!/bin/sh
printf '%s\n' "$@" >"$ARGUMENTS"
for pattern; do :; done
i=1
[ "$FRAMES" = none ] && printf '%s: no video\n' "$8" >&2 && exit 69
[ "$FRAMES" = deaf ] && trap '' TERM
case $FRAMES in endless | deaf)
    cp "${PHOTOS%% *}" "$(dirname "${pattern#file:}")/000001.png"
    echo $$ >"$ARGUMENTS.pid" && exec sleep 1000
    ;;
esac
for photo in $PHOTOS; do
    # shellcheck disable=SC2059
    cp "$photo" "$(printf "${pattern#file:}" $i)"
    [ "$i" = "$FRAMES" ] && kill -9 $PPID && exit 1
    i=$((i + 1))
done
FFMPEG
chmod +x bin/ffmpeg
export ARGUMENTS=$PWD/arguments.txt PHOTOS="$PWD/photos/00001.png $PWD/photos/00002.png $PWD/photos/00003.png"
path=$PATH
PATH=$PWD/bin:$PATH
(FRAMES=2 "${make[@]}" video 'walk 100%.mp4' frames) >/dev/null 2>&1 && fail "a killed command succeeds"
[ -z "$(find frames -name '*.png' ! -path '*/.*')" ] || fail "a killed command left frames"
expect 0 "made 3 frames in frames" "${make[@]}" video 'walk 100%.mp4' frames --fps 2
printed "next: p2p pairs edges frames PAIRS, or grey, lowres or blank," video
printf '%s\n' -nostdin -hide_banner -loglevel error -protocol_whitelist file -i 'file:walk 100%.mp4' -vf fps=2 \
    -start_number 1 -y -f image2 'file:frames/.walk 100%%.frames/%06d.png' >expected.txt
same arguments.txt expected.txt
same 'frames/walk 100%-000002.png' photos/00002.png
no_partial frames
expect 2 "walk 100%-000001.png exists already" "${make[@]}" video 'walk 100%.mp4' frames
rm 'frames/walk 100%-000001.png' # as after an interruption: the first frame comes last
expect 0 "made 3 frames" "${make[@]}" video 'walk 100%.mp4' frames
rm 'frames/walk 100%-000001.png' && cp photos/00004.png 'frames/walk 100%-000002.png'
expect 2 "is another picture" "${make[@]}" video 'walk 100%.mp4' frames
same 'frames/walk 100%-000002.png' photos/00004.png
expect 3 "ffmpeg can't read walk 100%.mp4 (exit code 69)" env FRAMES=none "${make[@]}" video 'walk 100%.mp4' other
no_partial other
mkdir planted && ln -s ../outlines 'planted/.walk 100%.frames' # a folder of that name is removed
expect 2 "is a symbolic link" "${make[@]}" video 'walk 100%.mp4' planted
[ -e outlines/00001.png ] || fail "video: a link has led to the removal of other files"
expect 3 "there is no file nothing.mp4" "${make[@]}" video nothing.mp4 other
forged=$'v\nforged: done\e[2J\xe2\x80\xae\xd8\x9c\xc2\x9b.mp4'
cp 'walk 100%.mp4' "$forged"
expect 3 'ffmpeg: forged: done\x1b[2J\xe2\x80\xae\xd8\x9c\xc2\x9b.mp4: no video' env FRAMES=none "${make[@]}" video "$forged" other
grep -q '^forged' err.txt && fail "video: ffmpeg's message begins a line: $(cat -v err.txt)"

# A signal to p2p alone ends ffmpeg too, also if it ignores the signal.
lives() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; } # and is no zombie, for which nobody has waited
# ended_with FRAMES CODE SIGNAL...: sends the signals while ffmpeg runs, and checks the exit code and that ffmpeg has ended.
ended_with() {
    local code=$2 process child status
    rm -f "$ARGUMENTS.pid"
    FRAMES=$1 env --default-signal=INT,TERM,HUP "${make[@]}" video 'walk 100%.mp4' stopped 2>err.txt &
    process=$!
    for _ in $(seq 500); do [ -s "$ARGUMENTS.pid" ] && break || sleep 0.02; done
    child=$(cat "$ARGUMENTS.pid")
    shift 2
    for signal; do kill -s "$signal" $process && sleep 0.1; done
    for _ in $(seq 1000); do lives "$child" && sleep 0.02 || break; done
    lives "$child" && fail "video: ffmpeg lives on after $*" && kill -9 "$child"
    wait $process
    status=$?
    [ $status -eq "$code" ] || fail "video: exit code $status instead of $code after $*: $(cat err.txt)"
}
ended_with endless 143 TERM
grep -q "^p2p: stopped by SIGTERM" err.txt || fail "video: SIGTERM is not named: $(cat err.txt)"
no_partial stopped
ended_with endless 130 INT
grep -q "^p2p: stopped by Ctrl-C" err.txt || fail "video: Ctrl-C is not named: $(cat err.txt)"
no_partial stopped
ended_with deaf 143 TERM TERM
ended_with endless 137 KILL
expect 0 "made 3 frames in stopped" "${make[@]}" video 'walk 100%.mp4' stopped
no_partial stopped
PATH=$path

echo "-- check"
expect 0 "no problems" "${make[@]}" check toys --json toys.json
printed "train: 10 pairs, side by side" check
printed "64 x 64" check
printed "RGB, 8 bits" check
grep -q '"problems": \[\]' toys.json || fail "toys.json has problems"

# Sizes, kinds of files and of pixels, in the table and as JSON: three of each among five pairs, and two in two folders.
expect 0 "made 10" "${make[@]}" grey outlines lines --input-only
expect 0 "made 10" "${make[@]}" combine lines grey-only greys --on-bad-image skip
mkdir -p several/train several/valA several/valB
cp toys/train/0000[12].jpg halves/0000[34].png greys/00005.png several/train
cp outlines/0000[67].png several/valA && cp photos/0000[67].png several/valB
expect 0 "no problems" "${make[@]}" check several --json several.json
tr -s ' ' <out.txt >table.txt
for line in "train: 5 pairs, side by side" " A and B 3 64 x 64" " 2 32 x 32" " files 2 JPEG" " 3 PNG" " pixels 4 RGB, 8 bits" \
    " 1 grey, 8 bits" "val: 2 pairs, A and B in two folders" " A and B 2 64 x 64" " files 4 PNG"; do
    grep -qxF -- "$line" table.txt || fail "check: the table lacks '$line'"
done
cat >expected.json <<'JSON'
"folder":"several","splits":[
{"split":"train","pairs":5,"singles":0,"side_by_side":true,"sizes":{"64x64":3,"32x32":2},
"files":{"JPEG":2,"PNG":3},"pixels":{"RGB,8bits":4,"grey,8bits":1}},
{"split":"val","pairs":2,"singles":0,"side_by_side":false,"sizes":{"64x64":2},
"files":{"PNG":4},"pixels":{"RGB,8bits":4}}],"problems":[]
JSON
tr -d ' \n' <several.json | grep -qF -- "$(tr -d '\n' <expected.json)" || fail "check: other JSON: $(tr -d ' \n' <several.json)"
expect 2 "--json toys.json exists already" "${make[@]}" check toys --json toys.json
expect 3 "there is no folder nowhere" "${make[@]}" check nowhere
expect 3 "11 problems" "${make[@]}" check photos # photographs are no pairs
printed "the shape of a single picture" check

# planted KIND COUNT FOLDER TEXT: checks that the folder has just these problems, in the table and as JSON.
planted() {
    rm -f found.json
    expect 3 "$4" "${make[@]}" check "$3" --json found.json
    [ "$(grep -c "\"problem\": \"$1\"" found.json)" -eq "$2" ] && [ "$(grep -c '"problem"' found.json)" -eq "$2" ] ||
        fail "$1: $3 has other problems: $(grep '"text"' found.json)"
    grep -qE "^$1 +$2 " out.txt || fail "$1: the table lacks it"
}
faulty() {
    rm -rf faulty && cp -r toys faulty
}
faulty && head -c 300 toys/train/00002.jpg >faulty/train/00002.jpg
planted unusable 1 faulty "00002.jpg"
faulty && cp toys/val/00002.jpg faulty/train/00099.jpg
planted duplicate 1 faulty "val/00002.jpg has the bytes of train/00099.jpg, in another split"
rm -rf a b && cp -r outlines a && cp -r photos b && rm -r b/more
cp photos/00002.png a/00002.png # A is B
"${make[@]}" combine a b equal >/dev/null 2>&1
planted equal 1 equal "00002.png: A and B are the same picture"
cp outlines/00002.png a/00002.png
cp plain/dot.png a/00003.png
"${make[@]}" combine a b uniform >/dev/null 2>&1
planted one_colour 1 uniform "00003.png: A has one colour"
cp photos/00003.png a/00003.png && cp outlines/00003.png b/00003.png
"${make[@]}" combine a b swapped >/dev/null 2>&1
planted swapped 1 swapped "00003.png seems to have A and B swapped"
cp outlines/00003.png a && cp photos/00003.png b
mkdir whole-a whole-b
for file in a/*.png; do # all 56 x 64; one B is cut out 8 pixels further right, so it is shifted to the left
    name=$(basename "$file")
    "$pictures" crop a/$name 0 0 56 64 whole-a/$name
    "$pictures" crop b/$name $((10#${name%.png} == 4 ? 8 : 0)) 0 56 64 whole-b/$name
done
"${make[@]}" combine whole-a whole-b shifted >/dev/null 2>&1
planted shifted 1 shifted "00004.png: B seems to be shifted about"
grep -qE "about [78] pixels to the left and 0 down" out.txt || fail "another shift: $(grep shifted: out.txt)"
rm b/00005.png
mkdir sides && mv a sides/A && mv b sides/B
planted single 1 sides "00005.png has no partner"
"$p2p" sample-data large --count 4 --size 128 --seed 9 >/dev/null 2>&1
mkdir -p cut/train # photographs of 128 x 64: pairs by their shape only
for i in 1 2 3 4; do "$pictures" crop large/train/0000$i.jpg 128 40 128 64 cut/train/$i.png; done
expect 3 "continues across its middle" "${make[@]}" check cut
for count in 1 4; do
    "${make[@]}" check cut --workers $count --json cut$count.json >cut$count.txt 2>/dev/null
done
same cut1.json cut4.json
same cut1.txt cut4.txt
finish
