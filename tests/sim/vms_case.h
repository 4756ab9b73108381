/* vms_case.h - configurations of several guests for tests, and what holds for every result. */
#ifndef NW_TESTS_SIM_VMS_CASE_H
#define NW_TESTS_SIM_VMS_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* after those */
#include <cmocka.h>
#include <nestwalk/sim/vms.h>

static inline void set(struct nw_vms_config *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_vms_config_set(c, path, value, "test", &err))
        fail_msg("%s", err.text);
}
static inline void guest(struct nw_vms_config *c, const char *name, const char *generate, const char *span,
                         const char *accesses)
{
    struct nw_error err = { 0 };
    size_t g, w;
    char path[128];
    assert_int_equal(nw_vms_config_add_guest(c, name, &g, &err), NW_OK);
    assert_int_equal(nw_vms_config_add_work(c, g, &w, &err), NW_OK);
    snprintf(path, sizeof path, "vm.%s.work.generate", name);
    set(c, path, generate);
    snprintf(path, sizeof path, "vm.%s.work.span", name);
    set(c, path, span);
    snprintf(path, sizeof path, "vm.%s.work.accesses", name);
    set(c, path, accesses);
}
static inline struct nw_vms_result run(const struct nw_vms_config *c)
{
    struct nw_error err = { 0 };
    struct nw_vms_result r;
    if (nw_vms_run(c, NULL, &r, &err))
        fail_msg("%s", err.text);
    return r;
}
/* Two guests of 32 MiB on a host of 40, each touching 24 MiB by Zipf's law. */
static inline struct nw_vms_config tight(void)
{
    struct nw_vms_config c;
    nw_vms_config_init(&c);
    set(&c, "host.memory", "40M");
    guest(&c, "a", "zipf", "24M", "200000");
    guest(&c, "b", "zipf", "24M", "200000");
    set(&c, "vm.a.memory", "32M");
    set(&c, "vm.b.memory", "32M");
    return c;
}
static inline void check_sound(const struct nw_vms_result *r, const char *what)
{
    const struct nw_vms_host_counters *h = &r->host;
    assert_int_equal(h->frames_free + h->frames_guest + h->frames_shared + h->frames_table + h->frames_pinned,
                     r->frames);
    for (size_t i = 0; i < r->guests; i++)
        if (r->guest[i].counters.lost)
            fail_msg("%s: guest %s lost %d pages", what, r->guest[i].name, (int)r->guest[i].counters.lost);
}
static inline uint64_t same_counters(const struct nw_vms_result *a, const struct nw_vms_result *b)
{
    uint64_t same = a->guests == b->guests && a->time_ns == b->time_ns && !memcmp(&a->host, &b->host, sizeof a->host);
    for (size_t i = 0; same && i < a->guests; i++)
        same = !memcmp(&a->guest[i].counters, &b->guest[i].counters, sizeof a->guest[i].counters);
    return same;
}

#endif
