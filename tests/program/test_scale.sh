#!/usr/bin/env bash
# The scale at which p2p translate draws: that of the model's training by default, so that it draws what p2p test draws;
# what each model records; where results may go, and under which names; what a training prints of its networks.
#
#   tests/program/test_scale.sh P2P DEVICE PICTURES     PICTURES: the tool pictures.c
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
golden=$(realpath "${P2P_TEST_GOLDEN:-$here/../golden}")
pictures=$(realpath "$3")
source "$here/../support/expect.sh"

# sized FILE WxH...: checks the size.
sized() {
    case "$("$pictures" size "$1")" in
        "$2"*) ;;
        *) fail "$1 is $("$pictures" size "$1"), not $2" ;;
    esac
}

# crops SPLIT LEFT WIDTH HEIGHT OUT: the halves at LEFT of the pairs of SPLIT, as pictures in the folder OUT.
crops() {
    local pair
    mkdir -p "$5"
    for pair in "$1"/*; do "$pictures" crop "$pair" "$2" 0 "$3" "$4" "$5/$(basename "${pair%.*}").png"; done
}

# agree MODEL DATA INPUTS WORDS OPTION...: checks that translate prints WORDS and draws the pictures of test, with any batch.
agree() {
    local model=$1 data=$2 inputs=$3 words=$4 batch
    shift 4
    rm -rf tested
    expect 0 "" "$p2p" test --model "$model" --data "$data" --split train --pairs side-by-side --out tested --device "$device" "$@"
    grep -q "scale:" err.txt && fail "p2p test reports another scale for pictures of the training's size"
    for batch in 1 3; do
        rm -rf drawn
        expect 0 "$words" "${translate[@]}" --model "$model" -o drawn --batch $batch "$inputs" "$@"
        diff -r tested/generated drawn || fail "$model: translate and test draw different pictures"
    done
}

translate=("$p2p" translate --device "$device")
small=(--ngf 2 --ndf 2 --steps 2 --dropout-blocks innermost --device "$device")

echo "-- one size: 48 x 48 pixels become 32 x 32"
expect 0 "" "$p2p" sample-data toys --count 3 --size 48 --seed 3
for direction in AtoB BtoA; do
    for resize in bicubic nearest; do
        run=$direction-$resize
        expect 0 "" "$p2p" train --data toys --out $run --size 32 --direction $direction --resize $resize "${small[@]}"
        left=$([ $direction = BtoA ] && echo 48 || echo 0)
        [ -d in$left ] || crops toys/train "$left" 48 48 in$left
        agree $run toys in$left "scale: 0.6667, as in the training, which made 48 x 48 pixels 32 x 32 ($resize)"
    done
done
model=AtoB-bicubic
agree $model toys in0 "(nearest)" --resize nearest
agree $model toys in0 "(bicubic)"
one=in0/00001.png
"$pictures" crop $one 3 2 31 17 part.png
expect 0 "scale: 0.6667" "${translate[@]}" --model $model -o part.out.png part.png
sized part.out.png 21x11x3x8
expect 0 "" "${translate[@]}" --model $model -o kept.png --keep-size part.png
sized kept.png 31x17x3x8
expect 0 "" "${translate[@]}" --model $model -o large.png "$golden/images/rgb.png"
sized large.png 25x19x3x8
mkdir several
cp $one several/a.png
cp part.png several/b.png # both are padded to 32 x 32 pixels
expect 0 "picture 2/2" "${translate[@]}" --model $model -o several/out --batch 2 several
grep -q "picture 1/2" err.txt && fail "pictures of one padded size are not drawn together"
same several/out/b.png part.out.png
same several/out/a.png drawn/00001.png
"$pictures" crop $one 0 0 1 1 dot.png
expect 0 "" "${translate[@]}" --model $model -o dot.out.png dot.png
sized dot.out.png 1x1x3x8

echo "-- --scale"
expect 0 "scale: 1, by --scale" "${translate[@]}" --model $model -o native.png --scale native part.png
sized native.png 31x17
expect 0 "scale: 2.5, by --scale" "${translate[@]}" --model $model -o more.png --scale 2.5 part.png
sized more.png 78x43
expect 0 "" "${translate[@]}" --model $model -o more_kept.png --scale 2.5 --keep-size part.png
sized more_kept.png 31x17
expect 0 "" "${translate[@]}" --model $model -o two_thirds.png --scale 0.66666666666666667 $one
expect 0 "" "${translate[@]}" --model $model -o auto.png --scale auto $one
same auto.png two_thirds.png
for wrong in 0 -1 2x nan inf 0.0001 1e9 natives; do
    expect 2 "--scale '$wrong' is neither auto, native nor a number" "${translate[@]}" --model $model -o x.png \
        --scale=$wrong $one
done
expect 3 "$one has 48 x 48 pixels" "${translate[@]}" --model $model -o x.png --scale 1000 $one
printed "a smaller --scale" "a scale of 1000"
expect 0 "left out: $one" "${translate[@]}" --model $model -o skipped --scale 690 --on-bad-image skip $one dot.png
sized skipped/dot.png 690x690
[ ! -e x.png ] || fail "x.png was written"

echo "-- the training's own size keeps every picture's"
expect 0 "" "$p2p" train --data toys --out same --size 48 "${small[@]}"
agree same toys in0 "scale: 1, as in the training; pictures keep their size"
expect 0 "" "${translate[@]}" --model same -o same.png part.png
sized same.png 31x17

echo "-- pictures that are not square have two factors"
mkdir -p wide/train
for i in 1 2 3; do "$pictures" crop toys/train/0000$i.jpg 8 $((4 * i)) 80 24 wide/train/$i.png; done
expect 0 "" "$p2p" train --data wide --out wider --size 32 "${small[@]}"
crops wide/train 0 40 24 inwide
agree wider wide inwide "scale: 0.8 x 1.333, as in the training, which made 40 x 24 pixels 32 x 32 (bicubic)"
expect 0 "" "${translate[@]}" --model wider -o wider.png part.png
sized wider.png 25x23
expect 0 "" "${translate[@]}" --model wider -o wider_kept.png --keep-size part.png
sized wider_kept.png 31x17

echo "-- 16 bits and alpha"
mkdir -p deep/train
for i in 1 2 3; do "$pictures" crop "$golden/images/rgb_alpha16.png" $i $i 32 20 deep/train/$i.png; done
expect 0 "" "$p2p" train --data deep --pairs side-by-side --out deeper --size 32 --channels-in 4 --channels-out 2 "${small[@]}"
crops deep/train 0 16 20 indeep
agree deeper deep indeep "scale: 2 x 1.6"
sized drawn/1.png 32x32x2x16

echo "-- pictures are converted before they are resized"
expect 0 "" "$p2p" train --data toys --out grey --size 32 --channels-in 1 --direction BtoA "${small[@]}"
agree grey toys in48 "scale: 0.6667"

echo "-- several sizes: every picture becomes 32 x 32, as in test"
cp -r toys mixed
"$pictures" crop toys/train/00003.jpg 8 0 80 40 mixed/train/00003.png
rm mixed/train/00003.jpg
expect 0 "" "$p2p" train --data mixed --out mixedrun --size 32 "${small[@]}"
mkdir inmixed
cp in0/00001.png in0/00002.png inmixed
"$pictures" crop mixed/train/00003.png 0 0 40 40 inmixed/00003.png
agree mixedrun mixed inmixed "scale: every picture becomes 32 x 32 pixels (bicubic), as in the training"
expect 0 "" "${translate[@]}" --model mixedrun -o mixed.png part.png
sized mixed.png 32x32
printed "; --keep-size gives each result the size of its picture" "translate with a model of several sizes"
expect 0 "" "${translate[@]}" --model mixedrun -o mixed_kept.png --keep-size part.png
sized mixed_kept.png 31x17
grep -q "; --keep-size" err.txt && fail "--keep-size is recommended where it is given"
# A bad pair that is left out does not count.
echo "no picture" >mixed/train/00003.png
expect 0 "" "$p2p" train --data mixed --out leftout --size 32 --on-bad-image skip "${small[@]}"
expect 0 "scale: 0.6667" "${translate[@]}" --model leftout -o leftout.png part.png

cp -r wide toys_and_wide
cp toys/train/00001.jpg toys_and_wide/train
echo "-- test reports pairs of another size than the training's"
expect 0 "scale: pairs of 40 x 24 pixels become 32 x 32, as pictures of 48 x 48 did in the training" \
    "$p2p" test --model $model --data wide --split train --out other --device "$device"
expect 0 "" "$p2p" test --model $model --data wide --split train --out other64 --size 64 --device "$device"
grep -q "scale:" err.txt && fail "test reports a scale that --size chose"
expect 0 "scale: pairs of several sizes become 32 x 32" \
    "$p2p" test --model $model --data toys_and_wide --split train --out both --device "$device"

echo "-- models that record no scale"
expect 0 "does not record the scale of its training, so pictures keep their size" "${translate[@]}" \
    --model "$golden/state_dict_batch.safetensors" -o dict.png part.png
sized dict.png 31x17
expect 0 "does not record the scale of its training" "${translate[@]}" --model "$golden/format1_generator.safetensors" \
    -o format1.png part.png
sized format1.png 31x17
expect 0 "scale: 0.5, by --scale" "${translate[@]}" --model "$golden/state_dict_batch.safetensors" -o dict2.png --scale 0.5 $one
sized dict2.png 24x24

echo "-- a resumed training records the same; one that starts from another model's weights records its own"
expect 0 "" "$p2p" train --out $model --resume --steps 4 --device "$device"
expect 0 "scale: 0.6667" "${translate[@]}" --model $model -o resumed.png part.png
expect 0 "" "$p2p" train --data toys --out begun --size 64 --generator 5 --init-generator $model/generator.safetensors "${small[@]}"
expect 0 "scale: 1.333, as in the training, which made 48 x 48 pixels 64 x 64" "${translate[@]}" --model begun -o begun.png part.png

echo "-- names of results"
for name in x.tif x.webp x.unknown x.gif dir/x.bmp notes.v2; do
    expect 2 "--out $name: pictures are written as .png, .jpg or .jpeg" "${translate[@]}" --model $model -o $name $one
    printed "--out $name/ makes a folder of that name" "-o $name"
    [ ! -e $name ] || fail "$name was made"
    expect 2 "--out $name: for several pictures it must be a folder" "${translate[@]}" --model $model -o $name in0
done
[ ! -e dir ] || fail "dir was made"
echo mine >mine.txt
expect 2 "--out mine.txt: pictures are written as" "${translate[@]}" --model $model -o mine.txt --force $one
expect 1 "mine.txt/: Not a directory" "${translate[@]}" --model $model -o mine.txt/ --force $one
[ "$(cat mine.txt)" = mine ] || fail "mine.txt was overwritten"
expect 0 "x.tif/00001.png" "${translate[@]}" --model $model -o x.tif/ $one
expect 0 "x.tif/part.png" "${translate[@]}" --model $model -o x.tif part.png
expect 0 ".hidden/part.png" "${translate[@]}" --model $model -o .hidden part.png

echo "-- results never become pictures"
cp -r in0 own
expect 0 "own/out/00001.png" "${translate[@]}" --model $model -o own/out own
expect 2 "exists already" "${translate[@]}" --model $model -o own/out own
cp own/out/00001.png first.png
for spelling in own/out own/./out/ "$PWD/own/out" own/../own/out; do
    expect 0 "3 pictures in own/out are results of p2p and left out" "${translate[@]}" --model $model -o "$spelling" \
        --force own
    [ "$(find own -name '*.png' | wc -l)" -eq 6 ] || fail "results were translated: $(find own)"
    same own/out/00001.png first.png
done
cd own || exit 1
expect 0 "3 pictures in ./out are results of p2p and left out" "${translate[@]}" --model ../$model -o out --force .
cd ..
ln -s round.png own/round.png # a picture that cannot be read, not a failure to look at paths
expect 0 "left out: can't read own/round.png" "${translate[@]}" --model $model -o own/out --force --on-bad-image skip own
rm own/round.png own/*.txt
ln -s own linked
expect 0 "3 pictures in own/out are results" "${translate[@]}" --model $model -o linked/out --force own
# Folders that an older version made have no mark.
[ "$(wc -l <own/out/.p2p-results)" = 1 ] || fail "own/out has no mark of one line"
rm own/out/.p2p-results
expect 0 "left out: 3 pictures in the folder of the results, own/out" "${translate[@]}" --model $model -o own/out --force own
expect 2 "is the folder own of the pictures" "${translate[@]}" --model $model -o own own
expect 2 "is the folder own of the pictures" "${translate[@]}" --model $model -o linked/ --format jpg own
expect 2 "own/00001.jpg would lie beside its picture own/00001.png" "${translate[@]}" --model $model -o own --format jpg own/00001.png
mkdir -p around/in/in
cp $one around/in/in/a.png
expect 2 "a folder of pictures: a later run" "${translate[@]}" --model $model -o around around/in
mkdir -p from/own
cp part.png from/own/00001.png
expect 2 "own/00001.png would be overwritten by the translation of from/own/00001.png" "${translate[@]}" --model $model \
    -o . --force from own/00001.png
# They are results for every command that reads the folder around them, unless their own folder is named.
made() { (cd "$1" && find . -name '*.png' | sort | tr '\n' ' '); }
expect 0 "3 pictures in own/out are results of p2p and left out" "${translate[@]}" --model $model -o elsewhere own
[ "$(made elsewhere)" = "$(made in0)" ] || fail "results were translated: $(made elsewhere)"
expect 0 "3 pictures in own/out are results of p2p and left out" "$p2p" pairs grey own greyed
[ "$(made greyed)" = "$(made in0)" ] || fail "results were made pairs: $(made greyed)"
expect 0 "3 pictures in ./own/out are results of p2p and left out" "${translate[@]}" --model $model -o above ./own/
expect 0 "again/00001.png" "${translate[@]}" --model $model -o again own/out
mkdir nest && cp -r own nest/in && mv nest/in/out/00001.png nest/in/out/a.heic && mkdir nest/in/out/x && cp $one nest/in/out/x
expect 0 "4 pictures in nest/in/out are results of p2p and left out" "${translate[@]}" --model $model -o shallow nest
grep -q heic err.txt && fail "a result is called a picture that is not read"
mkdir -p nest/set && cp -r toys nest/set/toys
expect 0 "" "$p2p" test --model $model --data nest/set/toys --out nest/set/toys/measured --device "$device"
expect 0 "" "$p2p" train --ngf 2 --ndf 2 --steps 3 --device "$device" --size 32 --data nest/set/toys --out nest/set/toys/run
expect 0 "in nest/set/toys/measured are results of p2p and left out" "${translate[@]}" --model $model -o shallow2 nest/set
printed "1 picture in nest/set/toys/run is a result of p2p and left out" "a training in a folder of pictures"
[ ! -e shallow2/toys/measured ] && [ ! -e shallow2/toys/run ] || fail "results were translated"
rm nest/in/*.png nest/in/*.txt 2>/dev/null
expect 3 "nest/in holds no pictures but results of p2p, such as those in nest/in/out" "${translate[@]}" --model $model -o bare nest/in
mkdir -p only/out
cp $one only/out
expect 3 "only holds no pictures" "${translate[@]}" --model $model -o only/out --force only
expect 0 "beside.jpg" "${translate[@]}" --model $model -o beside.jpg part.png

echo "-- a training begins with its networks"
expect 0 "networks: 32 x 32 pixels; generator of 5 levels with " "$p2p" train --data toys --out five --size 32 "${small[@]}"
grep -q "note: --size" err.txt && fail "five levels are called few"
expect 0 "networks: 36 x 36 pixels; generator of 2 levels with " "$p2p" train --data toys --out two --size 36 "${small[@]}"
printed "note: --size 36 can be halved only 2 times, so the generator has few levels; 32 gives 5, 64 gives 6" "--size 36"
expect 0 "96 gives 5, 128 gives 7" "$p2p" plan --size 100 --ngf 2 --ndf 2 --device "$device"
expect 0 "generator of 3 levels" "$p2p" train --data toys --out three --size 32 --generator 3 "${small[@]}"
grep -q "note: --size" err.txt && fail "a number of levels that was given is called few"

finish
