#!/usr/bin/env bash
# p2p translate and p2p test on folders and odd sizes, in batches, with models of other origins, and every refusal.
# PyTorch's pictures are committed (tests/golden/make_state_dicts.py).
#
#   tests/program/test_translate.sh P2P DEVICE PICTURES     PICTURES: the tool pictures.c
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
golden=$(realpath "${P2P_TEST_GOLDEN:-$here/../golden}")
pictures=$(realpath "$3")
source "$here/../support/expect.sh"

# near FILE FILE MOST: checks that no sample differs by more than MOST / 255.
near() {
    local difference
    difference=$("$pictures" difference "$1" "$2") || fail "$1 and $2 can't be compared"
    awk "BEGIN { exit !(${difference:-999} <= $3) }" || fail "$1 and $2 differ by $difference"
}

# differ FILE FILE: checks that the pictures differ.
differ() {
    cmp -s "$1" "$2" && fail "$1 and $2 are equal"
}

# sized FILE WxHxCxB: checks width, height, channels and bits.
sized() {
    [ "$("$pictures" size "$1")" = "$2" ] || fail "$1 is $("$pictures" size "$1"), not $2"
}

images=$golden/images

echo "-- models to use: one of three epochs with dropout, one of 16 bits with 4 channels from 1"
expect 0 "toys" "$p2p" sample-data toys --count 3 --size 32 --seed 3
small=(--ngf 2 --ndf 2 --save-every 1 --device "$device")
expect 0 "" "$p2p" train --data toys --out run --size 32 --dropout-blocks innermost --epochs 3 "${small[@]}"
model=run/generator.safetensors
translate=("$p2p" translate --device "$device")
test=("$p2p" test --device "$device")

echo "-- one picture"
cp toys/val/00001.jpg pair.jpg
"$pictures" crop pair.jpg 0 0 32 32 input.png
expect 0 "one.png" "${translate[@]}" --model $model -o one.png input.png
expect 0 "two.png" "${translate[@]}" --model $model -o two.png input.png
same one.png two.png
expect 0 "new/folder/one.png" "${translate[@]}" --model $model -o new/folder/one.png input.png
same one.png new/folder/one.png
expect 2 "--model is missing" "${translate[@]}" -o x.png input.png
expect 2 "--out is missing" "${translate[@]}" --model $model input.png
expect 2 "no picture is given" "${translate[@]}" --model $model -o x.png
expect 3 "nothing.png" "${translate[@]}" --model $model -o x.png nothing.png
expect 3 "config.json" "${translate[@]}" --model run/config.json -o x.png input.png
expect 2 "--format is for folders" "${translate[@]}" --model $model --format jpg -o x.png input.png

echo "-- any size keeps it, at the scale of the training"
"$pictures" crop "$images/rgb.png" 3 5 1 1 dot.png
"$pictures" crop "$images/rgb.png" 0 0 2 29 strip.png
for picture in dot.png strip.png "$images/rgb.png" "$images/grey.png" "$images/palette.png" "$images/rgb16.png"; do
    expect 0 "sized.png" "${translate[@]}" --model $model -o sized.png --force "$picture"
    sized sized.png "$("$pictures" size "$picture" | sed 's/x[0-9]x[0-9]*$//')x3x8"
done

echo "-- folders: structure, format, batches of one size among others"
mkdir -p many/deep/er
cp "$images/rgb.png" many/a.png
cp "$images/rgb_alpha.png" many/deep/b.png
cp toys/train/00001.jpg many/deep/er/c.jpg
cp toys/train/00002.jpg many/deep/er/d.jpg
cp "$images/ycc420.jpg" many/e.jpg
cp dot.png many/f.png
touch many/notes.txt many/.hidden.png
expect 0 "alone/deep/er/c.png" "${translate[@]}" --model $model -o alone many
printed "images/s" "progress"
printed " left" "progress"
expect 0 "together/a.png" "${translate[@]}" --model $model -o together --batch 4 many
[ "$(find alone -type f | wc -l)" -eq 6 ] || fail "not six results: $(find alone -type f)"
for file in $(cd alone && find . -name '*.png'); do same alone/$file together/$file; done
expect 0 "jpegs/deep/er/c.jpg" "${translate[@]}" --model $model -o jpegs --format jpg --batch 8 many
sized jpegs/a.jpg 37x29x3x8
expect 0 "mixed/er/c.png" "${translate[@]}" --model $model -o mixed input.png many/deep
same mixed/input.png one.png
expect 2 "must be a folder" "${translate[@]}" --model $model -o all.png many
expect 2 "must be a folder" "${translate[@]}" --model $model -o one.png input.png dot.png
mkdir empty
mkdir phone && cp "$images/rgb.png" phone && touch phone/a.WebP phone/b.avif
expect 0 "phone: 2 pictures have suffixes that are not read, such as a.WebP" "${translate[@]}" --model $model -o phone-out phone
expect 3 "empty holds no pictures" "${translate[@]}" --model $model -o x empty
cp many/e.jpg many/a.jpg
expect 2 "would both be written to x/a.png" "${translate[@]}" --model $model -o x many
rm many/a.jpg

echo "-- transparent pictures"
expect 0 "warning: the model has no alpha, and 1 picture is transparent in places, such as many/deep/b.png" "${translate[@]}" --model $model -o mixed2 input.png many/deep
expect 0 "such as many/deep/b.png" "${translate[@]}" --model $model -o lone.png many/deep/b.png
expect 0 "" "${translate[@]}" --model $model -o mixed3 input.png
grep -q transparent err.txt && fail "an opaque picture is called transparent"

echo "-- a picture that EXIF turns"
turn "$images/ycc420.jpg" 8 turned.jpg
expect 0 "turned.png" "${translate[@]}" --model $model -o turned.png turned.jpg
sized turned.png 29x37x3x8

echo "-- nothing is overwritten unasked, and that is known before any work"
echo mine >alone/f.png
rm alone/a.png
expect 2 "alone/deep/b.png exists already" "${translate[@]}" --model $model -o alone many
[ ! -e alone/a.png ] || fail "work began before the check"
[ "$(cat alone/f.png)" = mine ] || fail "alone/f.png was overwritten"
expect 0 "alone/f.png" "${translate[@]}" --model $model -o alone --force many
same alone/f.png together/f.png
same alone/a.png together/a.png
expect 2 "would be overwritten by its own translation" "${translate[@]}" --model $model -o input.png --force input.png
expect 2 "many/deep/b.png would be overwritten by its own translation" "${translate[@]}" --model $model -o many/deep \
    --force many/deep/b.png many/a.png
[ "$(find . -name '*.tmp*' | wc -l)" -eq 0 ] || fail "temporary files are left"

echo "-- a bad picture in the middle: those before it are done"
mkdir bad
cp toys/train/00001.jpg bad/1.jpg
head -c 900 toys/train/00002.jpg >bad/2.jpg
cp toys/train/00003.jpg bad/3.jpg
expect 3 "bad/2.jpg" "${translate[@]}" --model $model -o stopped --batch 3 bad
[ "$(ls stopped)" = 1.png ] || fail "stopped holds $(ls stopped)"
echo "no picture" >bad/2.jpg
expect 3 "bad/2.jpg" "${translate[@]}" --model $model -o nothing bad
[ ! -e nothing ] || fail "work began although a file is not a picture"
cp toys/train/00002.jpg bad/4.jpg
head -c 900 toys/train/00002.jpg >bad/5.jpg
expect 0 "left out: bad/5.jpg" "${translate[@]}" --model $model -o skipped --batch 3 --on-bad-image skip bad
printed "left out: bad/2.jpg" skipping
printed "2 unusable pictures were left out" skipping
[ "$(echo skipped/*)" = "skipped/1.png skipped/3.png skipped/4.png" ] || fail "skipped holds $(ls skipped)"
expect 0 "" "${translate[@]}" --model $model -o whole toys/train
same skipped/3.png whole/00003.png
same skipped/4.png whole/00002.png
expect 3 "no usable picture is left" "${translate[@]}" --model $model -o x --on-bad-image skip bad/2.jpg

echo "-- statistics and dropout"
expect 0 "" "${translate[@]}" --model $model -o dry.png --test-dropout off input.png
expect 0 "" "${translate[@]}" --model $model -o running.png --norm-stats running --test-dropout off input.png
expect 0 "" "${translate[@]}" --model $model -o default.png --norm-stats image --test-dropout on input.png
same default.png one.png
differ dry.png one.png
differ running.png dry.png
for flags in "--norm-stats image" "--norm-stats running" "--test-dropout off"; do
    # shellcheck disable=SC2086
    expect 0 "" "${translate[@]}" --model $model -o "1 $flags" $flags toys/train
    # shellcheck disable=SC2086
    expect 0 "picture 3/3" "${translate[@]}" --model $model -o "3 $flags" $flags --batch 3 toys/train
    grep -q "picture 1/3" err.txt && fail "--batch 3 runs pictures one by one"
    diff -r "1 $flags" "3 $flags" || fail "a batch of 3 gives other pictures with $flags"
done

echo "-- state dictionaries of PyTorch"
for kind in batch instance none; do
    expect 0 "" "${translate[@]}" --model "$golden/state_dict_$kind.safetensors" -o $kind.png \
        "$golden/state_dict_input.png"
    near $kind.png "$golden/state_dict_$kind.png" 1
done
expect 0 "" "${translate[@]}" --model "$golden/state_dict_batch.safetensors" -o batch_running.png \
    --norm-stats running "$golden/state_dict_input.png"
near batch_running.png "$golden/state_dict_batch_running.png" 1
expect 2 "--norm-stats running" "${translate[@]}" --model "$golden/state_dict_instance.safetensors" -o x.png \
    --norm-stats running "$golden/state_dict_input.png"
for direction in AtoB BtoA; do
    expect 0 "\"direction\":\"$direction\"" "${test[@]}" --model "$golden/state_dict_batch.safetensors" \
        --data toys --size 32 --direction $direction --out dict$direction
done
same dictAtoB/target/00001.png <("$pictures" crop pair.jpg 32 0 32 32 right.png && cat right.png)
same dictBtoA/target/00001.png input.png
for kind in batch instance none; do
    expect 0 "" "$p2p" train --data toys --out from_$kind --size 32 --generator 3 --norm $kind --steps 1 \
        --lr 1e-30 "${small[@]}" --init-generator "$golden/state_dict_$kind.safetensors"
    expect 0 "" "${translate[@]}" --model from_$kind -o from_$kind.png "$golden/state_dict_input.png"
    near from_$kind.png "$golden/state_dict_$kind.png" 1
done
head -c 100 $model >latest_net_G.pth
expect 3 "save_file(torch.load(" "${translate[@]}" --model latest_net_G.pth -o x.png input.png

# In double precision nothing overflows.
if [ "${device%%:*}" != reference ]; then
    echo "-- weights that overflow are an error, not a black picture"
    cp $model huge.safetensors
    unseal huge.safetensors
    first=$(grep -aoP '"model\.model\.0\.weight":\{[^}]*"data_offsets":\[\K[0-9]+' huge.safetensors)
    overwrite huge.safetensors "$(for _ in $(seq 32); do printf '%s' '\346\261\141\177\346\261\141\377'; done)" \
        $(($(od -An -tu8 -N8 huge.safetensors) + 8 + first))
    expect 1 "huge.safetensors can't draw input.png: of the 3072 samples of the result" \
        "${translate[@]}" --model huge.safetensors -o huge.png input.png
    [ -e huge.png ] && fail "huge.png was written"
    expect 1 "huge.safetensors can't draw 00001.jpg: of the 3072 samples of the result" \
        "${test[@]}" --model huge.safetensors --data toys --out huge
fi

echo "-- p2p test"
expect 2 "--data is missing" "${test[@]}" --model $model --out x
expect 2 "--out is missing" "${test[@]}" --model $model --data toys
expect 2 "takes options only" "${test[@]}" --model $model --data toys --out x stray
expect 3 "toys/nosuch" "${test[@]}" --model $model --data toys --split nosuch --out x
expect 0 '"count":1,' "${test[@]}" --model $model --data toys --out val
same val/generated/00001.png one.png
same val/target/00001.png right.png
near val/input/00001.png input.png 0
sized val/grid.png 96x120x3x8 # names on the left and above, then cells of 32 x 32 with lines of 2 pixels
"$pictures" crop val/grid.png 62 18 32 32 cell.png
near cell.png input.png 0
"$pictures" crop val/grid.png 62 52 32 32 cell.png
near cell.png one.png 0
"$pictures" crop val/grid.png 62 86 32 32 cell.png
near cell.png right.png 0
grep -q '"name":"00001.jpg","file":"00001.png","l1":' val/index.html || fail "index.html lacks the pair"
expect 2 "exists already" "${test[@]}" --model $model --data toys --out val
rm -r val/input val/generated val/target val/grid.png val/metrics.json
expect 2 "val/index.html exists already" "${test[@]}" --model $model --data toys --out val
expect 0 '"split":"train"' "${test[@]}" --model $model --data toys --out val --split train --force
[ "$(grep -c '"ssim"' val/metrics.json)" -eq 4 ] || fail "metrics.json: not three pairs and their mean"
expect 0 '"count":2,' "${test[@]}" --model $model --data toys --out first2 --split train --count 2
[ "$(ls first2/generated)" = "$(printf '00001.png\n00002.png')" ] || fail "not the first two: $(ls first2/generated)"
expect 0 '"count":3,' "${test[@]}" --model $model --data toys --out batched --split train --batch 2
for file in generated/00003.png metrics.json grid.png index.html; do same val/$file batched/$file; done
expect 0 '"size":64' "${test[@]}" --model $model --data toys --out large --size 64
sized large/generated/00001.png 64x64x3x8
expect 0 "" "${test[@]}" --model $model --data toys --out nearest --size 64 --resize nearest
differ large/target/00001.png nearest/target/00001.png
expect 2 "--size 40" "${test[@]}" --model $model --data toys --out x --size 40
expect 2 "was trained AtoB" "${test[@]}" --model $model --data toys --out x --direction BtoA
expect 0 "" "${test[@]}" --model $model --data toys --out dry --test-dropout off
same dry/generated/00001.png dry.png
expect 0 "" "${test[@]}" --model $model --data toys --out stats --test-dropout off --norm-stats running
same stats/generated/00001.png running.png

echo "-- pictures of two tests never lie in one folder"
# pictures_of FOLDER NAME...: checks that the three folders have these pictures alone.
pictures_of() {
    local folder=$1 name
    shift
    for name in input generated target; do
        [ "$(cd "$folder/$name" && find . -type f | sort | tr '\n' ' ')" = "$(printf './%s ' "$@")" ] ||
            fail "$folder/$name has other pictures: $(find "$folder/$name" -type f)"
    done
}
cp -r toys/train more && mkdir -p others/val && mv more/00001.jpg others/val/$'other \xff.jpg' && mv more/00002.jpg others/val/00001.jpg
expect 0 "" "${test[@]}" --model $model --data toys --out mixed --split train
rm -r mixed/grid.png mixed/index.html && cp mixed/metrics.json kept.json
expect 2 "exists already" "${test[@]}" --model $model --data others --out mixed
rm mixed/*/00001.png mixed/metrics.json
expect 2 "mixed/input/00002.png is no picture of this test" "${test[@]}" --model $model --data others --out mixed
printed "remove it, or choose another --out" "pictures that nothing records"
expect 2 "mixed/input/00002.png is no picture of this test" "${test[@]}" --model $model --data others --out mixed --force
pictures_of mixed 00002.png 00003.png
cp kept.json mixed/metrics.json
echo mine >mixed/input/mine.png
expect 2 "mixed/input/mine.png is no picture of this test" "${test[@]}" --model $model --data others --out mixed --force
rm mixed/input/mine.png
expect 0 "removed 6 pictures of an earlier test from mixed" "${test[@]}" --model $model --data others --out mixed --force
pictures_of mixed 00001.png $'other \xff.png'
expect 0 "removed 3 pictures of an earlier test from mixed" "${test[@]}" --model $model --data toys --out mixed --force
pictures_of mixed 00001.png
# A test that ends before its numbers has recorded its pictures.
expect 0 "" "${test[@]}" --model $model --data toys --out stopped --split train
cp -r stopped/generated/00003.png third.png
cp -r toys half && truncate -s 700 half/train/00002.jpg
expect 3 "half/train/00002.jpg" "${test[@]}" --model $model --data half --out stopped --split train --force
grep -q '"unfinished": true' stopped/metrics.json || fail "the numbers of an earlier test are left"
[ -e stopped/index.html ] && fail "the page of an earlier test is left"
# One that ends before its first picture leaves nothing that refuses the next.
truncate -s 700 half/train/00001.jpg
expect 3 "half/train/00001.jpg" "${test[@]}" --model $model --data half --out none --split train
[ ! -e none/metrics.json ] || fail "numbers of no picture: $(cat none/metrics.json)"
expect 3 "half/train/00001.jpg" "${test[@]}" --model $model --data half --out stopped --split train --force
grep -q '"unfinished": true' stopped/metrics.json || fail "the pictures of an earlier test are not recorded any more"
expect 0 "" "${test[@]}" --model $model --data toys --out none --split train --count 1
cp third.png stopped/generated/00003.png
expect 0 '"count":1,' "${test[@]}" --model $model --data toys --out stopped --split train --count 1 --force
pictures_of stopped 00001.png
expect 0 "" "${test[@]}" --model $model --data others --out left
truncate -s 700 others/val/00001.jpg
expect 0 "left out" "${test[@]}" --model $model --data others --out left --force --on-bad-image skip
pictures_of left $'other \xff.png'

echo "-- folders as programs for FID, KID and LPIPS read them: equal names, one size, whatever the pairs measure"
mkdir -p odd/val
for width in 20 32 44; do "$pictures" crop pair.jpg 1 2 $width 30 odd/val/$width.png; done
expect 0 '"count":3,' "${test[@]}" --model $model --data odd --pairs side-by-side --out compared
printed "done: compared/index.html shows every pair" "p2p test"
printed "compared/grid.png shows the first " "p2p test"
for folder in input generated target; do
    listed=$(cd "compared/$folder" && for file in *; do echo "$file $("$pictures" size "$file")"; done)
    [ "$listed" = "$(printf '%s.png 32x32x3x8\n' 20 32 44)" ] || fail "compared/$folder: $listed"
done

echo "-- the newest of a training, and one by number"
expect 0 '"epoch":3,' "${test[@]}" --model run --data toys --out newest
expect 0 '"epoch":1,' "${test[@]}" --model run --epoch 1 --data toys --out epoch1
expect 0 "" "${translate[@]}" --model run --epoch 1 -o epoch1.png input.png
same epoch1.png epoch1/generated/00001.png
differ epoch1.png one.png
cp -r run older
cp run/epochs/001-generator.safetensors older/generator.safetensors
expect 0 '"epoch":3,' "${test[@]}" --model older --data toys --out older_newest
rm older/generator.safetensors older/epochs/002-generator.safetensors
expect 0 '"epoch":3,' "${test[@]}" --model older --data toys --out epochs_only
expect 3 "there are 1, 3" "${test[@]}" --model older --epoch 2 --data toys --out x
expect 3 "has no generator.safetensors" "${test[@]}" --model toys --data toys --out x
expect 2 "is not one" "${test[@]}" --model $model --epoch 1 --data toys --out x

echo "-- 16 bits, and channels of the model's own"
mkdir -p deep/train deep/val
"$pictures" crop "$images/rgb16.png" 0 0 32 16 deep/train/1.png
"$pictures" crop "$images/rgb16.png" 4 8 32 16 deep/val/1.png
expect 0 "" "$p2p" train --data deep --out deeprun --size 32 --channels-in 1 --channels-out 4 --steps 1 "${small[@]}"
expect 0 "scale: 2, as in the training, which made 16 x 16 pixels 32 x 32" "${translate[@]}" --model deeprun -o deep.png \
    "$images/rgb16.png"
sized deep.png 74x58x4x16
expect 0 "" "${test[@]}" --model deeprun --data deep --out deeptest
sized deeptest/generated/1.png 32x32x4x16
expect 2 "deep.jpg" "${translate[@]}" --model deeprun -o deep.jpg "$images/rgb16.png"
expect 2 "x/a.jpg" "${translate[@]}" --model deeprun -o x --format jpg many

finish
