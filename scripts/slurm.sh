#!/usr/bin/env bash
# Trains what a workspace lacks as an array of Slurm, a task a shard (docs/CLUSTER.md).
#
#     scripts/slurm.sh WORKSPACE FOLDER [OPTION OF sbatch..]
#
# WORKSPACE holds records and a recipe (`sisa import`), and only this machine needs to see it. FOLDER is one that the nodes see as well: bundles
# go there and checkpoints come back, and both are removed. SISA names the program on the nodes, if it is not in their path; SHARDS the
# shards to send, as in `0 3 7`, if not all; SERVING=1 sends what deletions left missing of the model in service.
set -euo pipefail
sisa=${SISA:-sisa}

# A task of the array: a bundle in, checkpoints out. What is there already was done by a task that was started twice.
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    name=$2/$(printf %04d "$SLURM_ARRAY_TASK_ID")
    [ -s "$name.made" ] || "$sisa" --quiet --threads "${SLURM_CPUS_PER_TASK:-1}" shard train --out "$name.made" < "$name.bundle"
    exit
fi

workspace=$1 folder=$2
shift 2
umask 077
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# Bundles hold rows: they go, however this ends.
trap 'rm -f "$folder"/[0-9][0-9][0-9][0-9].bundle "$folder"/[0-9][0-9][0-9][0-9].made' EXIT
shards=${SHARDS:-$("$sisa" -w "$workspace" status --json | python3 -c \
    'import json, sys; print(*range(len(json.load(sys.stdin)["shards"])))')}
again=0
# What a deletion overtakes is refused and goes out again; so does what a lost task leaves behind.
while [ "$again" -lt 10 ]; do
    out=()
    for shard in $shards; do
        code=0
        rm -f "$folder/$(printf %04d "$shard").made"
        "$sisa" --quiet --wait -w "$workspace" shard pack "$shard" ${SERVING:+--serving} --out "$folder/$(printf %04d "$shard").bundle" || code=$?
        case $code in
            0) out+=("$shard") ;;
            10) ;; # nothing is missing
            *) exit "$code" ;;
        esac
    done
    [ ${#out[@]} -gt 0 ] || exit 0
    sbatch --wait --array="$(IFS=,; echo "${out[*]}")" --export=ALL "$@" "$0" "$workspace" "$folder" || true
    for shard in "${out[@]}"; do
        name=$folder/$(printf %04d "$shard")
        if [ -s "$name.made" ]; then
            code=0
            "$sisa" --wait -w "$workspace" shard unpack < "$name.made" || code=$?
            # 5: overtaken, to be packed again; anything else would be so the next time, too.
            case $code in 0 | 5) ;; *) exit "$code" ;; esac
        fi
        rm -f "$name.bundle" "$name.made"
    done
    again=$((again + 1))
done
echo "slurm.sh: shards are still missing after $again rounds; look at what the tasks say" >&2
exit 1
