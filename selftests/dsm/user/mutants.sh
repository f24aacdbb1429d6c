# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: GPL-2.0-or-later
# selftests/dsm/user/mutants.sh - for lists of mistakes that a program must see, one at a time. Sourced;
# the list says what it is about in $program, $makefile, $runs and $seconds.
#
#   LIST             makes each mistake in a copy of dsm/ and runs the program. Prints TAP.
#   LIST --apply     only makes them: has each still a line to change?
cd "$(dirname "$0")" || exit 1
top=$(cd ../../.. && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export ASAN_OPTIONS=detect_leaks=0
what=${1:-run}
nr=0 bad=0

verdict() { # STATUS TITLE
	if [ "$1" -eq 0 ]; then echo "ok $nr - $2"; else bad=1; echo "not ok $nr - $2"; fi
}

apply() { # FILE EXPRESSION-OF-SED
	rm -rf "$dir/tree" && mkdir -p "$dir/tree/selftests/dsm"
	cp -r "$top/dsm" "$top/include" "$top/kmod" "$dir/tree/"
	cp -r . "$dir/tree/selftests/dsm/user"
	sed -i "$2" "$dir/tree/dsm/$1"
	! cmp -s "$dir/tree/dsm/$1" "$top/dsm/$1" || { echo "# nothing was changed"; return 1; }
}

is_seen() { # [SEED STYLE]
	make -s -C "$dir/tree/selftests/dsm/user" -f "$makefile" BUILD="$dir/build" "$dir/build/$program" 2>"$dir/errors" ||
		{ cat "$dir/errors"; return 1; }
	! timeout "$seconds" "$dir/build/$program" "$runs" "$@" >"$dir/out" 2>&1 || return 1
	grep -m 1 "^# node\|Assertion\|ERROR\|broke a rule" "$dir/out" | sed 's/^[^#]/# &/'
	return 0
}

mutant() { # NAME FILE EXPRESSION-OF-SED [SEED STYLE]
	nr=$((nr + 1))
	if [ "$what" = --apply ]; then
		apply "$2" "$3"; verdict $? "can be made: $1"
	else
		apply "$2" "$3" && is_seen "${@:4}"; verdict $? "seen: $1"
	fi
}

end_of_mutants() { echo "1..$nr"; exit $bad; }
