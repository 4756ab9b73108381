/* What Linux tells of the machine: /sys and /dev, read only. */
#include "host_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/sim/measure.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#    include <x86intrin.h>
#endif

/* The first line of a file, without its end; false, with why in *out, when it cannot be read. */
static bool first_line(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f || !fgets(out, (int)size, f)) {
        snprintf(out, size, "%s", f ? "empty" : strerror(errno));
        if (f)
            fclose(f);
        return false;
    }
    fclose(f);
    out[strcspn(out, "\n")] = 0;
    return true;
}

/* The word in brackets of "always [madvise] never". */
static void chosen(char *text)
{
    char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;
    if (!close)
        return;
    *close = 0;
    memmove(text, open + 1, strlen(open + 1) + 1);
}

void host_say(char line[NW_HOST_LINES][NW_HOST_TEXT], size_t *count, const char *text)
{
    if (*count < NW_HOST_LINES)
        snprintf(line[(*count)++], NW_HOST_TEXT, "%s", text);
}

/* "frame numbers: /proc/self/pagemap: Permission denied; what that costs" */
static void host_unread(struct nw_host *h, const char *what, const char *path, const char *why, const char *costs)
{
    char text[NW_HOST_TEXT];
    snprintf(text, sizeof text, "%s: %s: %.60s; %s", what, path, why, costs);
    host_say(h->unread, &h->unreads, text);
}

static void look_at_kvm(struct nw_host *h)
{
    static const struct {
        const char *module, *name, *stage, *tags;
    } backends[] = { { "kvm_intel", "vmx", "ept", "vpid" },
                     { "kvm_amd", "svm", "npt", NULL },
                     { "kvm_pvm", "pvm", NULL, NULL } };
    char path[96], stage[16], tags[16];
    if (access("/dev/kvm", R_OK | W_OK))
        host_unread(h, "KVM", "/dev/kvm", strerror(errno),
                    "`validate exits`, `shadow`, `capture` and `reclaim` cannot be checked");
    if (access("/dev/kvm", F_OK)) {
        snprintf(h->kvm, sizeof h->kvm, "none: /dev/kvm: %s", strerror(errno));
        return;
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(backends); i++) {
        snprintf(path, sizeof path, "/sys/module/%s", backends[i].module);
        if (access(path, F_OK))
            continue;
        int used = snprintf(h->kvm, sizeof h->kvm, "%s", backends[i].name);
        if (backends[i].stage) {
            snprintf(path, sizeof path, "/sys/module/%s/parameters/%s", backends[i].module, backends[i].stage);
            (void)first_line(path, stage, sizeof stage);
            used += snprintf(h->kvm + used, sizeof h->kvm - (size_t)used, ", %s=%s", backends[i].stage, stage);
        }
        if (backends[i].tags) {
            snprintf(path, sizeof path, "/sys/module/%s/parameters/%s", backends[i].module, backends[i].tags);
            (void)first_line(path, tags, sizeof tags);
            snprintf(h->kvm + used, sizeof h->kvm - (size_t)used, ", %s=%s", backends[i].tags, tags);
        }
        return;
    }
    snprintf(h->kvm, sizeof h->kvm,
             "/dev/kvm is there, built into the kernel: which back end it has shows in `nestwalk capture`");
}

/* Adds to what is said of huge pages. */
static void add(struct nw_host *h, const char *format, ...)
{
    const size_t used = strlen(h->huge_pages);
    va_list ap;
    va_start(ap, format);
    vsnprintf(h->huge_pages + used, sizeof h->huge_pages - used, format, ap);
    va_end(ap);
}

/* Pages in a pool and how many of them are free; what cannot be read is listed. */
static void look_at_pool(struct nw_host *h, const char *size, const char *folder)
{
    char path[96], what[32], all[32], free[32];
    snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/%s/nr_hugepages", folder);
    const bool have = first_line(path, all, sizeof all);
    if (have) {
        snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/%s/free_hugepages", folder);
        (void)first_line(path, free, sizeof free);
        add(h, "; pool of %s pages: %s, %s free", size, all, free);
    } else {
        snprintf(what, sizeof what, "pool of %s pages", size);
        host_unread(h, what, path, all, "chases over such pages may be left out");
    }
}

#define TRANSPARENT "/sys/kernel/mm/transparent_hugepage/"

static void look_at_transparent(struct nw_host *h)
{
    char word[64], pages[32], pause[32], empty[32];
    if (!first_line(TRANSPARENT "enabled", word, sizeof word)) {
        add(h, "transparent: unknown");
        host_unread(h, "transparent huge pages", TRANSPARENT "enabled", word,
                    "whether a program gets large pages without asking is not known");
        return;
    }
    chosen(word);
    add(h, "transparent: %s", word);
    if (first_line(TRANSPARENT "defrag", word, sizeof word)) {
        chosen(word);
        add(h, ", defrag %s", word);
    }
    /* Linux, Documentation/admin-guide/mm/transhuge.rst: what khugepaged looks through, how often, and how much of a large page may be missing. */
    if (first_line(TRANSPARENT "khugepaged/pages_to_scan", pages, sizeof pages) &&
        first_line(TRANSPARENT "khugepaged/scan_sleep_millisecs", pause, sizeof pause) &&
        first_line(TRANSPARENT "khugepaged/max_ptes_none", empty, sizeof empty))
        add(h, ", khugepaged: %s pages each %s ms, up to %s missing", pages, pause, empty);
}

static void look_at_huge_pages(struct nw_host *h)
{
    look_at_transparent(h);
    look_at_pool(h, "2M", "hugepages-2048kB");
    look_at_pool(h, "1G", "hugepages-1048576kB");
}

/* Linux, Documentation/admin-guide/mm/pagemap.rst: who lacks CAP_SYS_ADMIN reads frame 0 of a page that is in memory. */
static void look_at_frames(struct nw_host *h)
{
    static const char path[] = "/proc/self/pagemap", costs[] =
                                                         "`validate tlb` then takes frames in order, and does not know "
                                                         "which of them share a set of the caches";
    const long page = sysconf(_SC_PAGESIZE);
    volatile char here = 1; /* in memory, once written */
    uint64_t entry = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        host_unread(h, "frame numbers", path, strerror(errno), costs);
        return;
    }
    const off_t at = (off_t)((uintptr_t)&here / (uintptr_t)page * sizeof entry);
    if (pread(fd, &entry, sizeof entry, at) != (ssize_t)sizeof entry)
        host_unread(h, "frame numbers", path, strerror(errno), costs);
    else if (!(entry & ((UINT64_C(1) << 55) - 1)))
        host_unread(h, "frame numbers", path, "hidden from who lacks CAP_SYS_ADMIN", costs);
    close(fd);
}

static void look_at_counters(struct nw_host *h)
{
    char word[64];
    if (!first_line("/sys/bus/event_source/devices/cpu/type", word, sizeof word))
        host_unread(h, "hardware counters", "/sys/bus/event_source/devices/cpu", word,
                    "no processor PMU: `validate tlb` has timing alone, and no misses to compare");
}

/* The time-stamp counter against CLOCK_MONOTONIC_RAW over 20 ms. */
static void time_counter(struct nw_host *h)
{
#if defined(__x86_64__)
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC_RAW, &a);
    const unsigned long long first = __rdtsc();
    double seconds;
    do {
        clock_gettime(CLOCK_MONOTONIC_RAW, &b);
        seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    } while (seconds < 0.02);
    h->tsc_mhz = (double)(__rdtsc() - first) / seconds / 1e6;
#else
    h->tsc_mhz = 0;
#endif
}

void nw_host_look_around(struct nw_host *h)
{
    look_at_kvm(h);
    look_at_huge_pages(h);
    host_look_at_capabilities(h);
    look_at_frames(h);
    look_at_counters(h);
    time_counter(h);
    struct nw_measure_clock clock;
    nw_measure_clock_read(&clock);
    h->core_mhz = clock.core_ghz * 1000;
}
