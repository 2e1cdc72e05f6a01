#!/usr/bin/env bash
# The dependencies between the folders of the code ("rooms"): by the symbols of the object files, that is calls and
# shared data, and by the includes of the sources. Compares them with the committed list, and fails if there is a cycle
# between folders or between files.
#
#   tests/structure/rooms.sh BUILD [LIBRARY...]   BUILD: a folder with everything built, such as build/gcc, but for these
#                                                 libraries, which the build leaves out
#   tests/structure/rooms.sh BUILD --arrows       prints every dependency between rooms with its symbols and includes
#   tests/structure/rooms.sh BUILD --files        prints those between files (by symbols only)
#   P2P_UPDATE_GOLDEN=1 tests/structure/rooms.sh BUILD    writes the list, if nothing is left out
#
# A room is a folder of sources. Its floor is one above the highest room that it uses, so all arrows lead down unless
# there is a cycle. The public headers, backend/*.h, are on floor 1, because they use no room.
set -euo pipefail
build=$(realpath "$1")
mode=check
left_out=()
for argument in "${@:2}"; do
    case $argument in
    --*) mode=$argument ;;
    *) left_out+=("$argument") ;;
    esac
done
cd "$(dirname "$0")/../.."
list=${P2P_TEST_GOLDEN:-tests/golden}/rooms.txt
libraries=()
for library in backend backend-opencl backend-cuda models train; do
    if [[ " ${left_out[*]} " != *" $library "* ]]; then libraries+=("$library"); fi
done

# Prints "F file" for every source, "S file name" for a symbol used, "D file name" for one defined, "I file name" for an
# include. Objects of sources that no longer exist are ignored. ocl_sources.c, which a script generates from the
# kernels, represents them.
facts() {
    local folders=("${libraries[@]/#/$build/}")
    find "${libraries[@]}" -regex '.*\.\(c\|h\|cl\|clh\|cu\|cuh\)' | sed 's/^/F /'
    if [[ " ${libraries[*]} " == *" backend-opencl "* ]]; then echo "F backend-opencl/kernels/ocl_sources.c"; fi
    # p2p_op_module has the objects of p2p_op again, with other definitions of its functions.
    find "${folders[@]}" -name '*.c.o' -not -path '*/p2p_op_module.dir/*' -print0 | xargs -0 nm -A | sed "s#^$build/##" |
        sed -E 's#CMakeFiles/[^/]*\.dir/##; s#^backend-opencl/ocl_sources#backend-opencl/kernels/ocl_sources#; s#\.c\.o:#.c #' |
        awk 'NF == 3 && $2 == "U" { print "S", $1, $3 } NF == 4 && $3 ~ /^[TDBRVWC]$/ { print "D", $1, $4 }'
    grep -rHoE --include='*.[ch]' --include='*.cl*' --include='*.cu*' '^#include "[^"]+"' "${libraries[@]}" | sed -E 's/^([^:]*):#include "(.*)"$/I \1 \2/'
}

# arrows room|file: prints what arrows.awk finds in the facts.
arrows() { awk -v by="$1" -f tests/structure/arrows.awk <<<"$facts"; }

facts=$(facts | sort -u)
case $mode in
--arrows) arrows room | grep -v '^floor' | sort; exit ;;
--files) arrows file | grep -v '^floor' | sort; exit ;;
check) ;;
*) echo "usage: tests/structure/rooms.sh BUILD [LIBRARY... | --arrows | --files]" >&2; exit 2 ;;
esac

# The search finds planted arrows: of a call, of an include, cycles of rooms and of files, an include of nothing.
failed=0
# planted room|file FACTS EXPECTED: the sorted lines for these facts beside three files are those expected. Floors of the
# members of a cycle depend on where it is entered, so without one only.
planted() {
    local files="F backend/p2p.h|F backend/low/l.c|F train/up.c" found
    found=$(facts=$(tr '|' '\n' <<<"$files|$2") && arrows "$1" 2>&1 | sort) || true
    if [[ $found == *cycle* ]]; then found=$(grep -v '^floor' <<<"$found"); fi
    if [ "$found" != "$(tr '|' '\n' <<<"$3")" ]; then
        printf '%s\n' "planted: $2: found" "$found" "and not ${3//|/$'\n'}"
        failed=1
    fi
}
floors="floor 1 backend|floor 2 backend/low -> backend|floor 3 train -> backend/low"
call="S train/up.c f|D backend/low/l.c f" called="train -> backend/low: f"
planted room "$call|I backend/low/l.c p2p.h" "backend/low -> backend: backend/p2p.h|$floors|$called"
planted room "$call|S backend/low/l.c g|D train/up.c g" "backend/low -> train: g|cycle: backend/low train|$called"
planted room "I backend/p2p.h low/l.c" \
    "backend -> backend/low: backend/low/l.c|floor 1 backend/low|floor 1 train|floor 2 backend -> backend/low"
planted room "I train/up.c none.h" \
    "floor 1 backend|floor 1 backend/low|floor 1 train|train/up.c: the include \"none.h\" is not found"
planted file "F train/b.c|S train/up.c b|D train/b.c b|S train/b.c u|D train/up.c u" \
    "cycle: train/b train/up|train/b -> train/up: u|train/up -> train/b: b"

rooms=$(arrows room)
files=$(arrows file)
# present: prints a list without the rooms of libraries that are left out, the arrows to them, and floors, which depend on
# them.
present() {
    if [ ${#left_out[@]} -eq 0 ]; then
        cat
        return
    fi
    awk -v left_out="${left_out[*]}" '
        BEGIN { split(left_out, names, " "); for (i in names) gone[names[i]] = 1 }
        function is_gone(room) { sub("/.*", "", room); return room in gone }
        !is_gone($3) { line = $3; for (i = 5; i <= NF; i++) if (!is_gone($i)) line = line " " $i; print line }' | sort
}
if [ "$(left_out=(backend-cuda) && present <<<$'floor 2 train -> backend backend-cuda/plan\nfloor 1 backend-cuda')" != "train backend" ]; then
    echo "planted: a library that is left out is compared"
    failed=1
fi
drawn=$(grep '^floor' <<<"$rooms" | sort -k2,2nr -k3,3)
if [ -n "${P2P_UPDATE_GOLDEN:-}" ] && [ ${#left_out[@]} -eq 0 ]; then echo "$drawn" >"$list"; fi
if ! difference=$(diff <(present <"$list") <(present <<<"$drawn")); then
    printf '%s\n' "The arrows between rooms differ from $list (< committed, > now):" "$difference" \
        "To accept them: P2P_UPDATE_GOLDEN=1 tests/structure/rooms.sh $build"
    failed=1
fi
if grep '^cycle' <<<"$rooms"$'\n'"$files"; then failed=1; fi
if ! grep -qx 'floor 1 backend' <<<"$rooms"; then
    echo "the public headers depend on rooms:"
    grep '^backend -> ' <<<"$rooms"
    failed=1
fi
echo "$(grep -c '^floor' <<<"$rooms") rooms, $(awk '$1 == "floor" && $2 > most { most = $2 } END { print most }' <<<"$rooms") floors," \
    "$(grep -c ' -> .*:' <<<"$rooms") arrows between rooms; $(grep -c '^floor' <<<"$files") files," \
    "$(grep -c ' -> .*:' <<<"$files") arrows between files"
exit $failed
