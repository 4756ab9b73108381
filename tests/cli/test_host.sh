#!/usr/bin/env bash
# `nestwalk host`: this machine, another one's leaves, a profile that a run takes, and what it refuses.
# shellcheck source=tests/cli/lib.sh
. "${NW_SOURCE_DIR:?the source tree}/tests/cli/lib.sh"
if [ "$(uname -m)" = x86_64 ]; then
  expect 0 "$NESTWALK" host
  has out 'family [0-9]+ model 0x' "the processor is named"
  has out '^KVM below: ' "and what KVM there is"
  if grep -q 'hypervisor above: [^n]' out; then
    grep -qE '^(IA32_VMX|SVM|not read: .*(MSR|VMX|VM_CR|SVM))' out || fail "capabilities are there, or why not"
  fi
  expect 0 "$NESTWALK" host --json -
  jq -e '.core_mhz > 100 and (.not_read | type) == "array"' out >/dev/null || fail "the JSON has the core clock and what was not read"
  jq -e '.features.linear_address_bits >= 48 and (.caches | type) == "array" and .tsc_mhz > 0' out >/dev/null || fail "the JSON has features, caches and a clock"
fi
# What is missing is said, with what that costs; the rest is there.
without() { # WHAT PATTERN COMMAND...
  local what=$1 pattern=$2
  shift 2
  expect 0 "$@"
  has out "^not read: $pattern" "without $what it says so"
  has out '; .*(validate|chases|known)' "and what that costs"
  has out '^(TLB level|CPUID tells of no TLB)' "without $what the rest is told"
}
if [ "$(uname -m)" = x86_64 ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
  # shellcheck disable=SC2016  # $0 is the inner shell's
  empty_at() { echo 'mount -t tmpfs none '"$1"' && exec "$0" host'; }
  without /dev/kvm 'KVM: /dev/kvm: No such file' unshare -m sh -c "$(empty_at /dev)" "$NESTWALK"
  has out '^KVM below: none' "and that there is none"
  # Sanitizers need /proc themselves.
  [ "${NW_SANITIZED:-0}" = 1 ] || without /proc 'frame numbers: /proc/self/pagemap: No such file' unshare -m sh -c "$(empty_at /proc)" "$NESTWALK"
  without /sys 'transparent huge pages: .*enabled: No such file' unshare -m sh -c "$(empty_at /sys)" "$NESTWALK"
  has out '^not read: pool of 2M pages' "pools too"
  has out '^not read: hardware counters' "counters too"
  without CAP_SYS_ADMIN 'frame numbers: /proc/self/pagemap: hidden' setpriv --bounding-set=-sys_admin "$NESTWALK" host
  if setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$NESTWALK" && [ "$(stat -c %a /dev/kvm 2>/dev/null)" = 600 ]; then
    without 'root' 'KVM: /dev/kvm: Permission denied' setpriv --reuid=65534 --regid=65534 --clear-groups "$NESTWALK" host
    has out '^not read: frame numbers: .*hidden' "an ordinary user is told of frame numbers too"
  fi
fi
if grep -q '\[' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null; then
  expect 0 "$NESTWALK" host
  has out "^huge pages: transparent: $(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled), defrag .*, khugepaged: $(cat /sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan) pages each" \
    "the state of transparent huge pages is told, and what khugepaged does"
fi
cat >leaves <<'LEAVES'
CPU:
   0x00000000 0x00: eax=0x0000000b ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69
   0x00000001 0x00: eax=0x000106a5 ebx=0x00000000 ecx=0x00000000 edx=0x00000000
   0x00000002 0x00: eax=0x55035a01 ebx=0x00f0b2e4 ecx=0x80000000 edx=0x09ca212c
   0x00000004 0x00: eax=0x00000121 ebx=0x01c0003f ecx=0x0000003f edx=0x00000000
LEAVES
expect 0 "$NESTWALK" host --cpuid leaves --profile here.xml
has out 'nearest shipped profile: intel-nehalem' "another machine's leaves are decoded"
has out 'descriptor CAh' "each array has its source"
has err '^note: ' "what CPUID does not tell is said"
"$NESTWALK" gen uniform --accesses 1K --span 1M -o u.nwt >/dev/null || fail "a trace is made"
expect 0 "$NESTWALK" run --machine here.xml --trace u.nwt --json -
jq -e '.runs[0].machine == "host" and .runs[0].tlb.l2_4k.misses > 0' out >/dev/null || fail "a run takes the profile, with its arrays"
grep -q 'cpuid 00000002h, descriptor CAh' here.xml || fail "the profile has the sources"

head -3 leaves >hidden
expect 4 "$NESTWALK" host --cpuid hidden --profile none.xml
has err 'intel-nehalem' "a machine whose TLBs are hidden is told the nearest profile"
[ ! -e none.xml ] || fail "and gets none"
echo nothing >empty
expect 3 "$NESTWALK" host --cpuid empty
expect 3 "$NESTWALK" host --cpuid nosuch
expect 2 "$NESTWALK" host leaves
finish
