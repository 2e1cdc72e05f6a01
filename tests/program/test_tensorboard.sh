#!/usr/bin/env bash
# ci/tensorboard downloads TensorBoard once, leaves nothing if it can't, and removes no other folder: with a pretend Python, without a network.
#
#   tests/program/test_tensorboard.sh CI
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../support/script.sh"
bring=$(realpath "$1")/tensorboard
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# A pretend python3, whose environments have a pretend pip; `can` has what works, `calls` what was called.
mkdir programs
cat >programs/python3 <<'END'
#!/usr/bin/env bash
echo "python3 $1" >>"$WORK/calls"
if [ "$1" = -m ]; then
    mkdir -p "$3/bin"
    touch "$3/pyvenv.cfg"
    grep -q venv "$WORK/can" || exit 1
    cp "$WORK/programs/python3" "$3/bin/python3"
    cp "$WORK/programs/pip" "$3/bin/pip"
else
    [ -e "$(dirname "$0")/brought" ] && [ "$(cat "$(dirname "$0")/brought")" = "tensorboard==$3" ]
fi
END
cat >programs/pip <<'END'
#!/usr/bin/env bash
echo "pip $1" >>"$WORK/calls"
grep -q network "$WORK/can" || exit 1
for last; do :; done
echo "$last" >"$(dirname "$0")/brought"
END
chmod +x programs/*
export WORK=$work PATH=$work/programs:$PATH

echo nothing >can
ends 1 "python3 can't make an environment" "$bring" "$work/brought"
holds "a half of an environment is left" test ! -e brought
echo venv >can
ends 1 "pip can't install tensorboard" "$bring" "$work/brought"
holds "an environment without TensorBoard is left" test ! -e brought
echo "venv network" >can
ends 0 "downloading TensorBoard" "$bring" "$work/brought"
holds "it is not brought" grep -q '^tensorboard==[0-9.]*$' brought/bin/brought
echo nothing >can
: >calls
holds "the second call fails" "$bring" "$work/brought"
holds "it is brought again" test "$(cat calls)" = "python3 -c"
echo "tensorboard==1.0" >brought/bin/brought # another version
ends 1 "python3 can't make an environment" "$bring" "$work/brought"
mkdir other
touch other/file
ends 1 "other is no environment of Python" "$bring" "$work/other"
holds "another folder was removed" test -e other/file
[ $failures -eq 0 ] || exit 1
echo "all as expected"
