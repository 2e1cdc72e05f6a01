# Sourced. farthest OUT OUT prints the largest relative difference of two trainings' losses.
farthest() {
    local field
    for field in d_real d_fake g_gan g_l1; do
        paste <(sed -nE "s/.*\"step\":.*\"$field\":([^,}]*).*/\1/p" "$1/metrics.jsonl") \
            <(sed -nE "s/.*\"step\":.*\"$field\":([^,}]*).*/\1/p" "$2/metrics.jsonl")
    done | awk '{ d = ($1 - $2) / $2; if (d < 0) d = -d; if (d > most) most = d; bad += NF != 2 || d != d }
        END { print bad || NR < 4 ? "inf" : most + 0 }'
}
