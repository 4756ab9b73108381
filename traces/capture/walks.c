#include "walks.h"

#include <errno.h>
#include <event-parse.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <tracefs.h>
#include <unistd.h>

enum { BUFFER_KIB = 8192, FIELDS_MAX = 2, CODE_FETCH = 16 };

enum walk_event { EVENT_WALK, EVENT_ELEMENT, EVENT_ERROR, EVENTS };
static const struct {
    const char *name, *field[FIELDS_MAX];
} event_table[EVENTS] = { [EVENT_WALK] = { "kvm_mmu_pagetable_walk", { "addr", "pferr" } },
                          [EVENT_ELEMENT] = { "kvm_mmu_paging_element", { "pte", "level" } },
                          [EVENT_ERROR] = { "kvm_mmu_walker_error", { "pferr", NULL } } };
static const char system_name[] = "kvmmmu";

struct walk_log {
    struct tracefs_instance *instance;
    struct tep_handle *tep;
    struct tep_event *event[EVENTS];
    struct tep_format_field *field[EVENTS][FIELDS_MAX];
    int thread;
    bool pinned;
    cpu_set_t affinity; /* before it was pinned */
    struct walk *walk;
    size_t count, capacity;
    uint64_t fetches;
    enum nw_status status; /* of the callback */
};

static enum nw_status events_find(struct walk_log *log, struct nw_error *err)
{
    for (unsigned e = 0; e < EVENTS; e++) {
        log->event[e] = tep_find_event_by_name(log->tep, system_name, event_table[e].name);
        if (!log->event[e])
            return nw_fail(err, NW_ERR_ENV,
                           "tracepoint %s:%s is missing: this kernel's KVM does not report guest page walks",
                           system_name, event_table[e].name);
        for (unsigned f = 0; f < FIELDS_MAX && event_table[e].field[f]; f++) {
            log->field[e][f] = tep_find_field(log->event[e], event_table[e].field[f]);
            if (!log->field[e][f])
                return nw_fail(err, NW_ERR_ENV, "tracepoint %s:%s has no field '%s' on this kernel", system_name,
                               event_table[e].name, event_table[e].field[f]);
        }
    }
    return NW_OK;
}

static enum nw_status instance_make(struct walk_log *log, struct nw_error *err)
{
    char name[64];
    static const char *const systems[] = { system_name, NULL };
    const char *dir = tracefs_tracing_dir(); /* mounts tracefs where the kernel has it and nobody has done so */
    if (!dir)
        return nw_fail(err, NW_ERR_ENV,
                       "tracefs is not there: capture via tracepoints needs a kernel with it, and root to use it");
    log->tep = tracefs_local_events_system(dir, systems);
    if (!log->tep)
        return nw_fail_errno(err, NW_ERR_ENV, errno,
                             "%s: the events of system %s cannot be read (usually only root may)", dir, system_name);
    enum nw_status s = events_find(log, err);
    if (s)
        return s;
    snprintf(name, sizeof name, "nestwalk-%d-%d", (int)getpid(), log->thread);
    log->instance = tracefs_instance_create(name);
    if (!log->instance)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%s/instances/%s cannot be made", dir, name);
    return NW_OK;
}

enum nw_status walk_log_open(struct walk_log **out, struct nw_error *err)
{
    struct walk_log *log = calloc(1, sizeof *log);
    if (!log)
        return nw_fail_nomem(err, "the log of page walks");
    log->thread = (int)syscall(SYS_gettid);
    enum nw_status s = instance_make(log, err);
    if (s)
        walk_log_close(log);
    else
        *out = log;
    return s;
}

void walk_log_close(struct walk_log *log)
{
    if (!log)
        return;
    if (log->pinned)
        sched_setaffinity(log->thread, sizeof log->affinity, &log->affinity);
    if (log->instance) {
        tracefs_event_disable(log->instance, NULL, NULL);
        tracefs_instance_destroy(log->instance);
        tracefs_instance_free(log->instance);
    }
    tep_free(log->tep);
    free(log->walk);
    free(log);
}

/* One CPU, so that there is one buffer, in order; put back on stop. */
static void pin(struct walk_log *log)
{
    cpu_set_t one;
    int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(log->thread, sizeof log->affinity, &log->affinity))
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    log->pinned = !sched_setaffinity(log->thread, sizeof one, &one);
}

enum nw_status walk_log_start(struct walk_log *log, struct nw_error *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d", log->thread);
    if (tracefs_instance_file_write(log->instance, "set_event_pid", text) < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "tracefs: set_event_pid");
    snprintf(text, sizeof text, "%d", BUFFER_KIB);
    if (tracefs_instance_file_write(log->instance, "buffer_size_kb", text) < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "tracefs: buffer_size_kb of %d", BUFFER_KIB);
    for (unsigned e = 0; e < EVENTS; e++)
        if (tracefs_event_enable(log->instance, system_name, event_table[e].name))
            return nw_fail_errno(err, NW_ERR_ENV, errno, "tracefs: enabling %s:%s", system_name, event_table[e].name);
    pin(log);
    return NW_OK;
}

static uint64_t field_value(const struct walk_log *log, enum walk_event e, unsigned f, const struct tep_record *record)
{
    unsigned long long value = 0;
    tep_read_number_field(log->field[e][f], record->data, &value);
    return value;
}

static bool walk_add(struct walk_log *log)
{
    if (log->count == log->capacity) {
        size_t capacity = log->capacity ? log->capacity * 2 : 1 << 16;
        struct walk *more = realloc(log->walk, capacity * sizeof *more);
        if (!more)
            return false;
        log->walk = more;
        log->capacity = capacity;
    }
    log->walk[log->count++] = (struct walk){ 0 };
    return true;
}

static int take_event(struct tep_event *event, struct tep_record *record, int cpu, void *context)
{
    struct walk_log *log = context;
    (void)cpu;
    if (tep_data_pid(log->tep, record) != log->thread)
        return 0;
    if (event == log->event[EVENT_WALK]) {
        if (!walk_add(log)) {
            log->status = NW_ERR_NOMEM;
            return 1;
        }
        log->walk[log->count - 1].gva = field_value(log, EVENT_WALK, 0, record);
        log->walk[log->count - 1].error_code = (uint32_t)field_value(log, EVENT_WALK, 1, record);
        log->fetches += (log->walk[log->count - 1].error_code & CODE_FETCH) != 0;
        return 0;
    }
    if (!log->count)
        return 0;
    struct walk *walk = &log->walk[log->count - 1];
    if (event == log->event[EVENT_ERROR])
        walk->failed = true;
    if (event == log->event[EVENT_ELEMENT] && walk->entries < WALK_ENTRIES_MAX) {
        walk->entry[walk->entries] = field_value(log, EVENT_ELEMENT, 0, record);
        walk->level[walk->entries++] =
            (uint8_t)(field_value(log, EVENT_ELEMENT, 1, record) - 1); /* KVM's leaf table is 1 */
    }
    return 0;
}

/* The buffer's statistics say whether an event found no room. */
static bool lost_any(const struct walk_log *log)
{
    bool lost = false;
    for (int cpu = 0, cpus = (int)sysconf(_SC_NPROCESSORS_CONF); cpu < cpus; cpu++) {
        char name[64];
        snprintf(name, sizeof name, "per_cpu/cpu%d/stats", cpu);
        char *text = tracefs_instance_file_read(log->instance, name, NULL);
        for (const char *word = text; word && (word = strstr(word, "overrun: ")); word++)
            lost |= strtoul(word + strlen("overrun: "), NULL, 10) != 0;
        const char *dropped = text ? strstr(text, "dropped events: ") : NULL;
        lost |= dropped && strtoul(dropped + strlen("dropped events: "), NULL, 10) != 0;
        free(text);
    }
    return lost;
}

enum nw_status walk_log_drain(struct walk_log *log, struct nw_error *err)
{
    errno = 0;
    int r = tracefs_iterate_raw_events(log->tep, log->instance, NULL, 0, take_event, log);
    if (log->status)
        return nw_fail_nomem(err, "the log of page walks");
    if (r < 0 && errno != EAGAIN && errno != 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "tracefs: reading the events");
    if (lost_any(log))
        return nw_fail(err, NW_ERR_ENV, "tracefs: the kernel's buffer of %d KiB overflowed; events are lost",
                       BUFFER_KIB);
    return NW_OK;
}

enum nw_status walk_log_stop(struct walk_log *log, struct nw_error *err)
{
    for (unsigned e = 0; e < EVENTS; e++)
        tracefs_event_disable(log->instance, system_name, event_table[e].name);
    if (log->pinned)
        sched_setaffinity(log->thread, sizeof log->affinity, &log->affinity);
    log->pinned = false;
    enum nw_status s = walk_log_drain(log, err);
    if (!s && !log->count)
        s = nw_fail(err, NW_ERR_ENV,
                    "KVM reported no guest page walk: this backend leaves them to the processor; use --via=step");
    return s;
}

uint64_t walk_log_fetches(const struct walk_log *log) { return log->fetches; }
size_t walk_log_count(const struct walk_log *log) { return log->count; }
const struct walk *walk_log_at(const struct walk_log *log, size_t index) { return &log->walk[index]; }
