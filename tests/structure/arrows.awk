# The dependencies between the rooms or the files of the facts that rooms.sh prints. Prints lines "from -> to: names",
# "cycle: nodes", "floor N node -> targets".
#
#   awk -v by=room|file -f arrows.awk

function folder(file) { sub(/\/[^\/]*$/, "", file); return file }

# The room or the file, without its ending.
function node(file) {
    if (by == "room") return folder(file)
    sub(/\.[ch]$/, "", file)
    return file
}

# An arrow; the name is a reason for it.
function add(from, to, name) {
    if (from == to) return
    if (!((from, to) in names)) targets[from] = targets[from] " " to
    names[from, to] = names[from, to] " " name
}

# An include names a file of the same folder, of the same library, a public header, or a path from the root. It is
# an error if there is no such file: headers of the system have <>.
function resolve(file, name,    library) {
    library = file
    sub(/\/.*/, "", library)
    if ((folder(file) "/" name) in known) return folder(file) "/" name
    if ((library "/" name) in known) return library "/" name
    if (("backend/" name) in known) return "backend/" name
    if (("models/" name) in known) return "models/" name
    if (name in known) return name
    print file ": the include \"" name "\" is not found" >"/dev/stderr"
    failed = 1
    return ""
}

# Marks all nodes to which arrows lead from `start`.
function reach(at, start,    i, n, list) {
    n = split(targets[at], list, " ")
    for (i = 1; i <= n; i++)
        if (!((start, list[i]) in reached)) {
            reached[start, list[i]] = 1
            reach(list[i], start)
        }
}

function floor_of(at,    i, n, list, most) {
    if (at in floor) return floor[at]
    n = split(targets[at], list, " ")
    for (i = 1; i <= n; i++)
        if (!((list[i], at) in reached) && floor_of(list[i]) > most) most = floor_of(list[i])
    return floor[at] = most + 1
}

function sorted(text,    n, list, i, k, swap) {
    n = split(text, list, " ")
    for (i = 2; i <= n; i++)
        for (k = i; k > 1 && list[k - 1] > list[k]; k--) {
            swap = list[k]; list[k] = list[k - 1]; list[k - 1] = swap
        }
    text = ""
    for (i = 1; i <= n; i++) text = text " " list[i]
    return text
}

function draw_arrows(    i, to) {
    for (i = 1; i <= uses; i++)
        if (used_by[i] in known && used[i] in defined && defined[used[i]] in known)
            add(node(used_by[i]), node(defined[used[i]]), used[i])
    for (i = 1; by == "room" && i <= includes; i++) {
        to = resolve(included_by[i], included[i])
        if (to != "") add(node(included_by[i]), node(to), to)
    }
}

# The members of a cycle are printed once.
function print_cycle(n,    m, cycle) {
    for (m in nodes) if ((n, m) in reached && (m, n) in reached) cycle = cycle " " m
    if (cycle == "" || sorted(cycle) in shown) return
    shown[sorted(cycle)] = 1
    print "cycle:" sorted(cycle)
}

function print_arrows(n,    i, count, list) {
    print "floor " floor_of(n) " " n (targets[n] == "" ? "" : " ->" sorted(targets[n]))
    count = split(targets[n], list, " ")
    for (i = 1; i <= count; i++) print n " -> " list[i] ":" names[n, list[i]]
}

$1 == "F" { known[$2] = 1; nodes[node($2)] = 1 }
$1 == "D" { defined[$3] = $2 }
$1 == "S" { used_by[++uses] = $2; used[uses] = $3 }
$1 == "I" { included_by[++includes] = $2; included[includes] = $3 }
END {
    draw_arrows()
    for (n in nodes) reach(n, n)
    for (n in nodes) {
        print_cycle(n)
        print_arrows(n)
    }
    exit failed
}
