/* What Linux tells of the machine: /sys and /dev, read only. */
#include "host_internal.h"
#include <errno.h>
#include <nestwalk/sim/measure.h>
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

static void look_at_kvm(struct nw_host *h)
{
    static const struct {
        const char *module, *name, *stage, *tags;
    } backends[] = { { "kvm_intel", "vmx", "ept", "vpid" },
                     { "kvm_amd", "svm", "npt", NULL },
                     { "kvm_pvm", "pvm", NULL, NULL } };
    char path[96], stage[16], tags[16];
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
             "/dev/kvm is there, built into the kernel%s: which back end it has shows in `nestwalk capture`",
             access("/dev/kvm", R_OK | W_OK) ? ", not open to this user" : "");
}

void host_say(char line[NW_HOST_LINES][NW_HOST_TEXT], size_t *count, const char *text)
{
    if (*count < NW_HOST_LINES)
        snprintf(line[(*count)++], NW_HOST_TEXT, "%s", text);
}

/* Pages in a pool and how many of them are free; what cannot be read is listed. */
static void look_at_pool(struct nw_host *h, const char *size, const char *folder)
{
    char path[96], all[32], free[32], text[NW_HOST_TEXT];
    const size_t used = strlen(h->huge_pages);
    snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/%s/nr_hugepages", folder);
    const bool have = first_line(path, all, sizeof all);
    if (have) {
        snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/%s/free_hugepages", folder);
        (void)first_line(path, free, sizeof free);
        snprintf(h->huge_pages + used, sizeof h->huge_pages - used, "; pool of %s pages: %s, %s free", size, all, free);
    } else {
        snprintf(text, sizeof text, "pool of %s pages: %.60s: %.60s", size, path, all);
        host_say(h->unread, &h->unreads, text);
    }
}

static void look_at_huge_pages(struct nw_host *h)
{
    static const char enabled[] = "/sys/kernel/mm/transparent_hugepage/enabled";
    char word[64], text[NW_HOST_TEXT];
    if (first_line(enabled, word, sizeof word)) {
        chosen(word);
        snprintf(h->huge_pages, sizeof h->huge_pages, "transparent: %s", word);
    } else {
        snprintf(h->huge_pages, sizeof h->huge_pages, "transparent: unknown");
        snprintf(text, sizeof text, "transparent huge pages: %s: %s", enabled, word);
        host_say(h->unread, &h->unreads, text);
    }
    look_at_pool(h, "2M", "hugepages-2048kB");
    look_at_pool(h, "1G", "hugepages-1048576kB");
}

static void look_at_privileges(struct nw_host *h)
{
    char word[64], text[NW_HOST_TEXT];
    if (access("/proc/self/pagemap", R_OK) || geteuid())
        host_say(h->unread, &h->unreads, "frame numbers: /proc/self/pagemap hides them from who lacks CAP_SYS_ADMIN");
    if (!first_line("/sys/bus/event_source/devices/cpu/type", word, sizeof word)) {
        snprintf(text, sizeof text, "hardware counters: no processor PMU (/sys/bus/event_source/devices/cpu: %s)",
                 word);
        host_say(h->unread, &h->unreads, text);
    }
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
    look_at_privileges(h);
    time_counter(h);
    struct nw_measure_clock clock;
    nw_measure_clock_read(&clock);
    h->core_mhz = clock.core_ghz * 1000;
}
