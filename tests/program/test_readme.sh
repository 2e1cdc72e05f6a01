#!/usr/bin/env bash
# Checks the Markdown files against the program and the tree: the commands, options, files and names of the code that
# they show exist, links have a target, and the commands of the top README and of train/DEVICES.md run. Files that the
# header comments of scripts and of sources name exist too.
#
#   tests/program/test_readme.sh P2P DEVICE      P2P: the program; DEVICE: e.g. reference:0
#
# Commands of p2p run in their order on a tiny data set, with options for a small network added. Those that name the CUDA
# backend run if DEVICE is one of CUDA. Scripts of ci/ are only parsed, because they install packages. Python is not needed:
# a committed file replaces the one that PyTorch would save, and programs that measure results do not run.
source=$(cd "$(dirname "$0")/../.." && pwd)
golden=$(realpath "${P2P_TEST_GOLDEN:-$source/tests/golden}")
. "$(dirname "$0")/../support/expect.sh" "$@"
export P2P_CACHE_DIR=$PWD/cache # `p2p tune` is among the commands, and other tests must not use its choices
tab=$'\t'

# ---- Options of each command and script, files, names ----

declare -A options values commands known_files known_names
for command in $("$p2p" help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p'); do
    commands[$command]=yes
    "$p2p" help "$command" >help.txt || fail "p2p help $command fails"
    while read -r option value; do
        options["$command $option"]=yes options["any $option"]=yes
        [[ $value == *'|'* ]] && values[$option]="|$value|"
    done < <(sed -nE 's/^ {2,6}(-[a-z], )?(--[a-z0-9-]+) ?([^ ]*).*/\2 \3/p' help.txt)
    for option in $(sed -nE 's/^  (-[a-z]), --.*/\1/p' help.txt); do options["$command $option"]=yes; done
done
[ ${#commands[@]} -ge 8 ] || fail "p2p help lists ${#commands[@]} commands"

while read -r file; do
    known_files[$file]=yes known_files[${file##*/}]=yes
done < <(cd "$source" && find . -name '.git' -prune -o -name 'build*' -prune -o -type f -printf '%P\n')
while read -r name; do known_names[$name]=yes; done < <(cd "$source" &&
    find . -name '.git' -prune -o -name 'build*' -prune -o \( -name '*.[ch]' -o -name '*.cl*' -o -name 'CMake*.txt' \
        -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' -o -path './ci/*' \) ! -name '*.md' -type f -print0 |
    xargs -0 grep -ohwE '(p2p|P2P)_[A-Za-z0-9_]+' | sort -u)

# script_has SCRIPT OPTION: whether the script, or the Python program to which it passes its arguments, has the option.
script_has() {
    local file
    for file in "$source/$1" "$source/$1.py" "$source/${1//-/_}.py"; do
        [ -f "$file" ] && grep -qwe "$2" "$file" && return
    done
    return 1
}

# Options of other programs than p2p that are mentioned without the program's name.
for option in $(cd "$source" && find ci tests/pytorch tests/golden -type f ! -name '*.md' ! -path '*/images/*' -size -64k \
    -exec grep -ohE -e '--[a-z][a-z0-9-]+' {} + | sort -u) \
    $(grep -ohE -e '--[a-z][a-z0-9-]+' "$source"/tests/operations/*.c | sort -u); do
    options["other $option"]=yes
done

# ---- Pieces of the files ----

# pieces FILE: prints a line for each piece to check: kind, place, text, separated by tabs. Kinds: block (a line of a code
# block), code (inline), link. In a table with the heading "option of `p2p X`" the first column has options of X.
pieces() {
    awk -v name="${1#"$source/"}" '
        function show(kind, text) { printf "%s\t%s:%d\t%s\n", kind, name, start, text }
        function flush(   rest) {
            rest = text
            while (match(rest, /`[^`]+`/)) {
                show("code", substr(rest, RSTART + 1, RLENGTH - 2))
                rest = substr(rest, RSTART + RLENGTH)
            }
            rest = text
            while (match(rest, /\]\([^)]*\)/)) {
                show("link", substr(rest, RSTART + 2, RLENGTH - 3))
                rest = substr(rest, RSTART + RLENGTH)
            }
            text = owner = ""
        }
        function of_owner(line,   cell) {
            cell = substr(line, 2)
            sub(/\|.*/, "", cell)
            while (match(cell, /`-[^`]+`/)) {
                show("code", owner " " substr(cell, RSTART + 1, RLENGTH - 2))
                cell = substr(cell, RSTART + RLENGTH)
            }
        }
        /^```/ { flush(); fenced = !fenced; next }
        fenced { start = FNR; show("block", $0); next }
        /^    / && (blank || block) { flush(); start = FNR; show("block", substr($0, 5)); block = 1; blank = 0; next }
        /^ *$/ { flush(); blank = 1; block = 0; next }
        {
            if (text == "") start = FNR
            if (match($0, /^\| option of `p2p [a-z-]+`/)) { owner = substr($0, 14, RLENGTH - 14) }
            if (owner != "" && /^\|/) of_owner($0)
            text = text " " $0
            blank = block = 0
        }
        END { flush() }' "$1"
}

# check_option PLACE OWNER OPTION VALUE: OWNER is a command of p2p, a script or a source file, or "any".
check_option() {
    local place=$1 owner=$2 option=${3%%=*} value=$4
    [ "$owner" = launcher ] && return
    if [[ $owner == */* ]]; then
        script_has "$owner" "$option" || fail "$place: $owner has no option $option"
        return
    fi
    if [ -z "${options["$owner $option"]-}" ]; then
        [ "$owner" = any ] && [ -n "${options["other $option"]-}" ] && return
        fail "$place: no option $option of ${owner/#any/any program}"
    elif [ -n "${values[$option]-}" ] && [[ $value =~ ^[a-z0-9]+$ ]] && [[ ${values[$option]} != *"|$value|"* ]]; then
        fail "$place: $option has no value $value"
    fi
}

# check_command PLACE TEXT: checks commands of p2p, and options of commands and scripts.
check_command() {
    local place=$1 owner=any words word i
    read -ra words <<<"${2%%  \#*}"
    case "${words[0]-}" in cmake | ctest | gcc | git | clang* | fidelity | tensorboard | '#SBATCH') return ;; esac
    for ((i = 0; i < ${#words[@]}; i++)); do
        word=${words[i]%[,;:]}
        case "$word" in
            p2p | */p2p)
                owner=${words[i + 1]-}
                [[ $owner =~ ^[a-z] ]] || { owner=any && continue; } # not a command, or a placeholder
                [ "$owner" = help ] && owner=${words[i + 2]-presets}
                [ -n "${commands[$owner]-}" ] || [ "$owner" = presets ] || fail "$place: p2p has no command $owner"
                ;;
            mpirun | srun | scancel | */mpirun) owner=launcher ;;
            ci/* | tests/*) [ -f "$source/$word" ] && owner=$word ;;
            */test_ops) owner=tests/operations/test_ops.c ;;
            '|') owner=any ;;
            --[a-z]*) check_option "$place" "$owner" "$word" "${words[i + 1]-}" ;;
            -[a-z]) [ -z "${commands[$owner]-}" ] || check_option "$place" "$owner" "$word" "" ;;
        esac
    done
}

# exists PATTERN: whether a file has this path or name, or matches the pattern.
exists() {
    [ -n "${known_files[$1]-}" ] && return
    [[ $1 == *[\*\?]* ]] && compgen -G "$source/$1" >/dev/null && return
    local file
    [[ $1 == *[\*\?]* ]] && for file in "${!known_files[@]}"; do
        # shellcheck disable=SC2053
        [[ $file == $1 ]] && return
    done
    return 1
}

# check_files PLACE TEXT: checks paths in the tree and names of source files.
check_files() {
    local place=$1 folder=${1%:*} word path
    folder=$([[ $folder == */* ]] && echo "${folder%/*}/")
    set -f
    for word in $2; do
        word=${word#[(\"]}
        word=${word%%[,;:)\"]*}
        word=${word%.}
        [[ $word == *[\<\>\$=]* || $word == build/* || $word == *NAME* ]] && continue
        path=${word%/}
        case "$word" in
            *.[ch] | *.cl | *.clh | *.cu | *.cuh | *.sh | *.py | *.md | *.cmake) ;;
            ci/* | tests/* | models/* | backend/* | backend-opencl/* | backend-cuda/* | train/*) ;;
            *) continue ;;
        esac
        [[ $place == tests/* ]] && [ -e "$source/tests/$path" ] && continue
        exists "$path" || exists "$folder$path" || exists "${folder%%/*}/$path" || [ -e "$source/$path" ] || [ -e "$source/$folder$path" ] ||
            fail "$place: there is no $word"
    done
    set +f
}

# check_names PLACE TEXT: checks functions, types, macros and environment variables; `p2p_op_*` means any of that prefix.
check_names() {
    local place=$1 rest=$2 name known
    while [[ $rest =~ (^|[^A-Za-z0-9_])((p2p|P2P)_[A-Za-z0-9_]+)(\*?)(.*) ]]; do
        name=${BASH_REMATCH[2]} rest=${BASH_REMATCH[5]}
        [ -n "${known_names[$name]-}" ] && continue
        if [[ -n ${BASH_REMATCH[4]} || $name == *_ ]]; then
            for known in "${!known_names[@]}"; do [[ $known == "$name"* ]] && continue 2; done
        fi
        fail "$place: the code has no $name"
    done
}

# anchors FILE: prints the anchors of the file's headings, as hosts of Markdown make them.
anchors() { sed -nE 's/^#+ //p' "$1" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-'; }

# check_link PLACE LINK: checks that the file exists and has the heading after #.
check_link() {
    local place=$1 file=$source/${1%:*} anchor=
    [[ $2 == *'#'* ]] && anchor=${2#*'#'}
    [[ $2 == '#'* ]] || file=$(dirname "$file")/${2%%#*}
    [ -e "$file" ] || fail "$place: the link $2 leads nowhere"
    [ -z "$anchor" ] || anchors "$file" | grep -qxF -- "$anchor" || fail "$place: $file has no heading for the link $2"
}

echo "-- commands, options, files and names in the Markdown files"
while read -r file; do pieces "$file"; done < <(find "$source" -name '.git' -prune -o -name 'build*' -prune -o -name '*.md' -print |
    sort) >pieces.txt
[ "$(wc -l <pieces.txt)" -gt 500 ] || fail "only $(wc -l <pieces.txt) pieces found in the Markdown files"
while IFS=$tab read -r kind place text; do
    case "$kind" in
        link)
            [[ $text == *://* ]] && continue
            check_link "$place" "$text"
            ;;
        *)
            check_command "$place" "$text"
            check_files "$place" "$text"
            check_names "$place" "$text"
            ;;
    esac
done <pieces.txt

echo "-- files in the header comments of scripts and of sources"
# headers FILE: prints a line for each line of the comment at the start: place and text, separated by a tab.
headers() {
    awk -v name="${1#"$source/"}" '!/^#/ { exit } !/^#!/ { printf "%s:%d\t%s\n", name, FNR, substr($0, 2) }' "$1"
}
while read -r file; do headers "$file"; done < <(find "$source/tests" "$source/ci" -type f \( -name '*.sh' -o -path "$source/ci/*" \) \
    ! -name '*.md' | sort) >headers.txt
# The same of the sources in C, CUDA C and OpenCL C, as far as a line has a name with an ending.
(cd "$source" && find backend* models train tests -type f -regex '.*\.\(c\|h\|cl\|clh\|cu\|cuh\)' -print0 | xargs -0 awk '
    FNR == 1 { header = /^\/\*/ }
    header && /[a-z]\.[a-z]/ { printf "%s:%d\t%s\n", FILENAME, FNR, $0 }
    /\*\// { header = 0 }') >sources.txt
[ "$(wc -l <sources.txt)" -gt 300 ] || fail "only $(wc -l <sources.txt) lines with files found in the header comments of sources"
cat sources.txt >>headers.txt
[ "$(wc -l <headers.txt)" -gt 50 ] || fail "only $(wc -l <headers.txt) lines found in the header comments of scripts"
while IFS=$tab read -r place text; do check_files "$place" "$text"; done <headers.txt
# planted MESSAGE CHECK PLACE TEXT: the check finds a planted fault, and nothing else.
planted() {
    local found
    found=$(fail() { echo "$*"; } && "$2" "$3" "$4")
    [ "$found" = "$3: $1" ] || fail "$2 finds in '$4': '$found'"
}
planted "there is no gone.cl" check_files backend/p2p.h:1 "/* See gone.cl and p2p_file.h. */"
planted "p2p has no command tame" check_command README.md:1 "build/gcc/p2p tame && p2p train"
planted "no option --stepz of train" check_command README.md:1 "p2p train --stepz 1 --batch 1"
planted "--precision has no value fp31" check_command README.md:1 "p2p train --precision fp31"
planted "ci/gpu has no option --unpack" check_command README.md:1 "ci/gpu --unpack --pack"
gone=gone # in two parts, because the names of this file count as the code's
planted "the code has no p2p_op_$gone" check_names README.md:1 "p2p_op_$gone p2p_session_create P2P_CACHE_DIR p2p_op_*"
planted "the link gone.md leads nowhere" check_link README.md:1 gone.md
planted "$source/README.md has no heading for the link #gone" check_link README.md:1 '#gone'

# ---- The commands of the top README, and of train/DEVICES.md ----

# small COMMAND WORD...: runs p2p with those options for a tiny network that the command has and that are not given, on the
# device, or on devices of its backend.
small() {
    local command=$1 word i words=("${@//opencl:/${device%:*}:}") where="--device $device"
    [[ " ${words[*]} " == *" --gpus "* ]] && where="--backend ${device%:*}"
    [[ " ${words[*]} " == *" --backend "* ]] && where="--batch 1"
    for ((i = 0; i < ${#words[@]}; i++)); do # two epochs of a long training are enough
        [ "${words[i]}" = --epochs ] && words[i + 1]=2
    done
    for word in "--size 32" "--ngf 4" "--ndf 4" "--epochs 1" "--steps 1" "$where"; do
        [ -n "${options["$command ${word% *}"]-}" ] || continue
        [[ " ${words[*]} " == *" ${word% *} "* || "$command $word" == "train --steps 1" ]] && continue
        # shellcheck disable=SC2206
        words+=($word)
    done
    expect 0 "" "$p2p" "${words[@]}"
}

echo "-- the commands of README.md and train/DEVICES.md"
small sample-data DIR --count 4 --seed 3
mkdir folder
cp "$(ls DIR/val/* | head -n 1)" picture.png
cp picture.png folder/other.png
ran=0
while IFS=$tab read -r kind place text; do
    [[ $kind == block && $place =~ ^(README|train/DEVICES).md: ]] || continue
    text=${text%%  #*}
    text=${text%"${text##*[! ]}"}
    case "$text" in
        "p2p "*cuda*) [[ $device != cuda:* ]] || eval "small ${text#p2p }" ;;
        "p2p "*) eval "small ${text#p2p }" ;;
        ci/*) [ -x "$source/${text%% *}" ] && bash -n "$source/${text%% *}" || fail "$place: $text is not a script" ;;
        "export PATH="*) [ "$text" = 'export PATH=$PWD/build/gcc/train:$PATH' ] || fail "$place: unexpected: $text" ;;
        "python3 -c "*'"G.safetensors")'*) cp "$golden/state_dict_batch.safetensors" G.safetensors ;;
        "pip install "*) ;;
        "fidelity "*"--gpu "*) fail "$place: $text needs CUDA" ;;
        "fidelity "* | "pytorch-fid "* | "python3 tests/pytorch/"*) # they need packages: their folders are checked
            for word in $text; do
                [[ $word != measured* ]] || [ -d "$word" ] || fail "$place: the commands before it made no $word"
            done
            ;;
        "export P2P_CUDA_LIBRARY_PATH="*) [ "$text" = 'export P2P_CUDA_LIBRARY_PATH=$PWD/build/cuda-toolkit/12.9/lib' ] ||
            fail "$place: unexpected: $text" ;;
        *) fail "$place: this test can't run: $text" ;;
    esac
    ran=$((ran + 1))
done <pieces.txt
[ $ran -ge 20 ] || fail "only $ran commands found"
for file in results/picture.png results/other.png measured/metrics.json result.png; do
    [ -s "$file" ] || fail "README.md: its commands left no $file"
done

for option in --tensorboard --keep-samples; do # what a user of the run's folder misses otherwise
    grep -qF -- "$option" "$source/README.md" || fail "README.md does not show $option"
done

# The table of the files of a training.
held=$(sed -n '/^| in `run`/,/^$/{/^| `/p}' "$source/README.md" | cut -d '|' -f 2 | grep -o '`[^`]*`' | tr -d '`')
[ "$(wc -w <<<"$held")" -ge 4 ] || fail "README.md: no table of what run holds"
for file in $held; do [ -e "run/$file" ] || fail "README.md: a training leaves no run/$file"; done

finish
