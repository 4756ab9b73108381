#!/usr/bin/env bash
# nestwalk validate exits from outside: usage, what it says without KVM, and, with it, the figures.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"

expect 2 "$NESTWALK" validate exits --machines 1
expect 2 "$NESTWALK" validate exits --machines many
expect 2 "$NESTWALK" validate exits cpuid
expect 2 "$NESTWALK" validate exits --from a.db --samples b.db
expect 2 "$NESTWALK" validate exits --machine textbook
expect 3 "$NESTWALK" validate exits --from missing.db
has err 'missing.db' "a file that is not there is named"

# Stored samples: judged without KVM, and what they cost in a replay.
sqlite3 stored.db "
  CREATE TABLE exit_session (processor, profile, backend, second_stage, core_ghz, machines);
  CREATE TABLE exit_samples (machine, operation, cycles, quarter_cycles, three_quarters_cycles, chunks, dropped);
  CREATE TABLE exit_notes (operation, text);
  INSERT INTO exit_session VALUES ('a processor', 'amd-zen4', 'svm', 1, 3.0, 4);
  WITH machine(n) AS (VALUES (0), (1), (2), (3)),
    cost(operation, cycles) AS (VALUES ('cpuid', 1500), ('port', 30000), ('mmio', 33000), ('hypercall', 1600),
      ('invlpg', 100), ('cr3', 120), ('fault-backed', 4000), ('fault-unbacked', 6000), ('mix', 66100), ('guest-fault', 2500))
    INSERT INTO exit_samples SELECT n, operation, cycles + n, cycles + 10, cycles + 20, 39, 0 FROM machine, cost;
  INSERT INTO exit_notes VALUES ('mprotect', 'not here'), ('shootdown', 'one processor');"
expect 0 "$NESTWALK" validate exits --from stored.db --json stored.json --profile stored.xml
has out '^left out: one processor' "what was left out is said again"
jq -e '.holds and (.points[] | select(.operation == "mix") | .predicted_cycles == 66102)' stored.json >/dev/null ||
  fail "the mix is the sum of its parts"
has stored.xml 'guest-fault value="2502" source="measured by nestwalk validate exits: guest-fault' "the profile has the cost and its source"
expect 0 "$NESTWALK" gen uniform --accesses 1000 -o t.nwt
expect 0 "$NESTWALK" run --trace t.nwt --machine ./stored.xml --mode nested --set mix.cpuid=7 --set mix.io_instruction=3 --set mix.recorded=2 --json run.json
jq -e '.runs[0].exits | .cpuid.cycles == 7 * 1502 and .io_instruction.cycles == 3 * 30002 and .recorded.cycles == 2 * 1602' run.json >/dev/null ||
  fail "a replay pays for exits what was measured: $(jq -c ".runs[0].exits" run.json)"
expect 0 "$NESTWALK" run --trace t.nwt --machine ./stored.xml --mode nested --set vmm.demand_backing=1 --json run.json
jq -e '.runs[0].exits.ept_violation | .count > 0 and .cycles == .count * 6002' run.json >/dev/null || fail "and for EPT violations"
sqlite3 stored.db "UPDATE exit_samples SET cycles = 50000 WHERE operation = 'mix' AND machine > 1"
expect 1 "$NESTWALK" validate exits --from stored.db

if unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016  # $0 is the inner shell's
  expect 4 unshare -m sh -c 'mount -t tmpfs none /dev && "$0" validate exits --json r.json' "$NESTWALK"
  has err '/dev/kvm' "without KVM it says so"
  empty out "without KVM nothing is printed as a result"
  [ ! -e r.json ] || fail "without KVM no result is written"
fi
[ "$failures" = 0 ] || finish
got=0; timeout 120 "$NESTWALK" validate exits --machines 2 --samples a.db --json a.json >out 2>err || got=$?
if [ $got = 4 ] && grep -qE '/dev/kvm|too busy|within two seconds' err; then
  echo "skipped: the rest needs a KVM that this user may use: $(cat err)"
  exit 77
fi
[ $got -le 1 ] || fail "timing exits is exit 0 or 1, not $got: $(cat err)"
jq -e --argjson got $got '.holds == ($got == 0) and .holds == ([.regimes[].holds] | all)' a.json >/dev/null ||
  fail "the exit status says what the document says"
jq -e '[.points[].operation] | contains(["cpuid", "port", "mmio", "invlpg", "cr3", "fault-backed", "fault-unbacked", "mix"])' \
  a.json >/dev/null || fail "each operation has a point"
jq -e '(.points[] | select(.operation == "mix") | .predicted_cycles) as $mix
  | ([.points[] | select([.operation] | inside(["cpuid", "port", "mmio", "hypercall"])) | .predicted_cycles] | add) - $mix
  | . < 1e-6 and . > -1e-6' a.json >/dev/null || fail "the mix is predicted as the sum of its parts"
has out '^port ' "the table has the operations"
[ "$(sqlite3 a.db 'SELECT count(*) FROM exit_samples')" = $((2 * $(jq '.points | length' a.json))) ] || fail "each sample is kept"
"$NESTWALK" validate exits --from a.db --json b.json >/dev/null 2>&1
cmp a.json b.json || fail "the stored samples say the same again"
one=$(taskset -pc $$ | sed "s/.*[ ,-]//") # the last that may be used
if [ "$(nproc)" -gt 1 ]; then
  jq -e '[.points[].operation] | contains(["guest-fault", "mprotect", "shootdown"])' a.json >/dev/null || fail "the native operations have points"
  got=0; taskset -c "$one" "$NESTWALK" validate exits --machines 2 --json one.json >out 2>err || got=$?
  [ $got -le 1 ] || fail "with one processor it is exit 0 or 1, not $got: $(cat err)"
  jq -e '.notes | map(select(test("shootdowns"))) | length == 1' one.json >/dev/null || fail "with one processor shootdowns are left out"
fi
finish
