/* several_guests.c - several guests on one host with too little memory: how many of their accesses are simulated a second while the host reclaims, and
 * how much memory the simulator itself takes for very large guests.
 *
 *     several_guests          eight guests of 256 MiB on 1500 MiB, each policy of the host
 *     several_guests scale    64 guests of 64 GiB on 256 GiB, a tenth of whose memory is ever touched
 *
 * Traces are generated on the fly; the seconds hold the generator's. Each row is a process of its own, so that its peak memory is its own. */
#include <inttypes.h>
#include <nestwalk/sim/vms.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct setting {
    const char *path, *value;
};
static const struct setting small[] = {
    { "host.memory", "1500M" },       { "host.cores", "8" },        { "host.timeline_ns", "0" },
    { "swap.size", "16G" },           { "vm.g.count", "8" },        { "vm.g.memory", "256M" },
    { "vm.g.work.generate", "zipf" }, { "vm.g.work.span", "240M" }, { "vm.g.work.accesses", "2M" },
};
/* The kernel's 3 % and a work of 7 %, which touches each of its pages once and then by Zipf's law. */
static const struct setting large[] = {
    { "host.memory", "256G" },
    { "host.cores", "64" },
    { "host.timeline_ns", "0" },
    { "swap.size", "4T" },
    { "vm.g.count", "64" },
    { "vm.g.memory", "64G" },
    { "vm.g.work.0.generate", "sequential" },
    { "vm.g.work.0.span", "4810363371" },
    { "vm.g.work.0.stride", "4096" },
    { "vm.g.work.0.accesses", "1174405" },
    { "vm.g.work.1.generate", "zipf" },
    { "vm.g.work.1.span", "4810363371" },
    { "vm.g.work.1.accesses", "100K" },
};

static enum nw_status run(const struct setting *set, size_t count, size_t works, const char *policy,
                          struct nw_error *err)
{
    struct nw_vms_config c;
    struct nw_vms_result r;
    size_t guest, work;
    nw_vms_config_init(&c);
    enum nw_status s = nw_vms_config_add_guest(&c, "g", &guest, err);
    for (size_t i = 0; i < works && !s; i++)
        s = nw_vms_config_add_work(&c, guest, &work, err);
    for (size_t i = 0; i < count && !s; i++)
        s = nw_vms_config_set(&c, set[i].path, set[i].value, "bench", err);
    if (!s)
        s = nw_vms_config_set(&c, "swap.policy", policy, "bench", err);
    if (!s && !(s = nw_vms_run(&c, NULL, &r, err))) {
        uint64_t accesses = 0, out = 0, lost = 0;
        for (size_t i = 0; i < r.guests; i++) {
            accesses += r.guest[i].counters.accesses;
            out += r.guest[i].counters.swapped_out;
            lost += r.guest[i].counters.lost;
        }
        struct rusage use;
        getrusage(RUSAGE_SELF, &use);
        printf("%-15s %8.1f %10.2f %12" PRIu64 " %6" PRIu64 " %10.2f\n", policy, r.seconds,
               (double)accesses / r.seconds / 1e6, out, lost, (double)use.ru_maxrss / 0x1p20);
        nw_vms_result_fini(&r);
    }
    nw_vms_config_fini(&c);
    return s;
}

int main(int argc, char **argv)
{
    static const char *const policy[] = { "two-list", "mglru", "clock", "fifo", "lru", "arc", "s3fifo" };
    const bool scale = argc == 2 && !strcmp(argv[1], "scale");
    if (argc > 1 && !scale) {
        fprintf(stderr, "usage: several_guests [scale]\n");
        return 2;
    }
    printf("%-15s %8s %10s %12s %6s %10s\n", "policy", "seconds", "M acc./s", "pages out", "lost", "peak GiB");
    for (size_t i = 0; i < (scale ? 1 : NW_ARRAY_LEN(policy)); i++) {
        int status = 1;
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            struct nw_error err = { 0 };
            const enum nw_status s = scale ? run(large, NW_ARRAY_LEN(large), 2, policy[i], &err)
                                           : run(small, NW_ARRAY_LEN(small), 1, policy[i], &err);
            if (s)
                fprintf(stderr, "several_guests: %s\n", err.text);
            fflush(stdout);
            _exit(s ? 4 : 0);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0 || status)
            return 4;
    }
    return 0;
}
