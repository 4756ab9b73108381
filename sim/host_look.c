/* What Linux tells of the machine: /sys and /dev, read only. */
#include <errno.h>
#include <nestwalk/sim/host.h>
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

static void look_at_huge_pages(struct nw_host *h)
{
    char transparent[64], pool[32];
    if (first_line("/sys/kernel/mm/transparent_hugepage/enabled", transparent, sizeof transparent))
        chosen(transparent);
    (void)first_line("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", pool, sizeof pool);
    snprintf(h->huge_pages, sizeof h->huge_pages, "transparent: %s; pool of 2M pages: %s", transparent, pool);
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
    time_counter(h);
}
