/* Lines into faults. Formats are told by their words, never by columns. */
#include "log_internal.h"
#include <ctype.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/fault_log.h>
#include <stdlib.h>
#include <string.h>

const char *const nw_amd_event_name[NW_AMD_EVENTS] = {
    "ILLEGAL_DEV_TABLE_ENTRY", "IO_PAGE_FAULT",          "DEV_TAB_HARDWARE_ERROR", "PAGE_TAB_HARDWARE_ERROR",
    "ILLEGAL_COMMAND_ERROR",   "COMMAND_HARDWARE_ERROR", "IOTLB_INV_TIMEOUT",      "INVALID_DEVICE_REQUEST",
    "INVALID_PPR_REQUEST",     "RMP_PAGE_FAULT",         "RMP_HW_ERROR",
};

/* ---- words ---- */

/* The text behind `word`, or NULL. */
const char *fault_after(const char *line, const char *word)
{
    const char *at = line ? strstr(line, word) : NULL;
    return at ? at + strlen(word) : NULL;
}

/* A number with or without 0x; `radix` for one without. */
bool fault_number(const char *at, int radix, uint64_t *out)
{
    char *end;
    if (!at)
        return false;
    while (*at == ' ')
        at++;
    if (!isxdigit((unsigned char)*at))
        return false;
    *out = strtoull(at, &end, at[0] == '0' && (at[1] | 32) == 'x' ? 16 : radix);
    return end > at;
}

/* [SSSS:]BB:DD.F, each part with or without 0x. */
static bool device(const char *at, struct nw_logged_fault *f)
{
    uint64_t part[4];
    unsigned parts = 0;
    if (!at)
        return false;
    while (*at == ' ' || *at == '[')
        at++;
    for (;;) {
        char *end;
        if (!isxdigit((unsigned char)*at) || parts == 4)
            return false;
        part[parts++] = strtoull(at, &end, 16);
        if (*end == '.')
            break;
        if (*end != ':')
            return false;
        at = end + 1;
    }
    uint64_t function;
    if (parts < 2 || !fault_number(strchr(at, '.') + 1, 16, &function))
        return false;
    const uint64_t bus = part[parts - 2], slot = part[parts - 1];
    if (bus > 255 || slot > 31 || function > 7 || (parts == 3 && part[0] > 0xffff) || parts == 4)
        return false;
    f->has_segment = parts == 3;
    f->segment = parts == 3 ? (uint16_t)part[0] : 0;
    f->bdf = (uint16_t)(bus << 8 | slot << 3 | function);
    f->has_device = true;
    return true;
}

/* The device at the end of the text before `before`: "amdgpu 0000:04:00.0: AMD-Vi: ...". */
static bool device_before(const char *line, const char *before, struct nw_logged_fault *f)
{
    const char *at = before;
    while (at > line && (at[-1] == ' ' || at[-1] == ':'))
        at--;
    while (at > line && (isxdigit((unsigned char)at[-1]) || at[-1] == ':' || at[-1] == '.'))
        at--;
    return device(at, f);
}

/* ---- Intel ---- */

static bool intel_reason(const char *line, struct nw_logged_fault *f)
{
    const char *at = fault_after(line, "fault reason");
    uint64_t reason;
    /* With 0x since 5.14; decimal before. */
    if (!fault_number(at, 10, &reason) || reason >= NW_BIT(8))
        return false;
    f->reason = (unsigned)reason;
    if (reason >= 0x20 && reason < 0x30)
        f->source = NW_FAULT_VTD_INTERRUPT;
    return true;
}

/* "[DMA Read NO_PASID] Request device [03:00.0] fault addr 0x..." and its older and Xen's forms. */
static bool intel_request(const char *line, struct nw_logged_fault *f)
{
    const char *at = fault_after(line, "Request device");
    const bool interrupt = strstr(line, "INTR-REMAP") != NULL;
    *f = (struct nw_logged_fault){ .source = interrupt ? NW_FAULT_VTD_INTERRUPT : NW_FAULT_VTD_DMA };
    if (!at || (!interrupt && !strstr(line, "DMA Read") && !strstr(line, "DMA Write") && !strstr(line, "DMA Atomic")) ||
        !device(at, f))
        return false;
    f->write = strstr(line, "DMA Write") || strstr(line, "DMA Atomic");
    uint64_t pasid;
    const char *said = fault_after(line, "PASID ");
    if (fault_number(said, 16, &pasid) && pasid < NW_BIT(20)) { /* ffffffff: none */
        f->has_pasid = true;
        f->pasid = (uint32_t)pasid;
    }
    f->has_address = fault_number(fault_after(at, interrupt ? "fault index" : "fault addr"), 16, &f->address);
    return true;
}

/* ---- AMD ---- */

static bool amd_event(const char *line, struct nw_logged_fault *f)
{
    unsigned event = 0;
    const char *at = NULL;
    while (event < NW_AMD_EVENTS && !(at = fault_after(line, nw_amd_event_name[event])))
        event++;
    if (!at || !strstr(line, "AMD-Vi"))
        return false;
    *f = (struct nw_logged_fault){ .source = NW_FAULT_AMD, .reason = event };
    uint64_t value;
    const char *vi = strstr(line, "AMD-Vi"), *named = fault_after(at, "device=");
    if (!named || !device(named, f)) {
        if (!device_before(line, vi, f))
            (void)device(*at == ':' ? at + 1 : at, f); /* Xen: "IO_PAGE_FAULT: 0000:04:00.0 d0 addr ..." */
    }
    f->has_address = fault_number(fault_after(at, "address="), 16, &f->address) ||
                     fault_number(fault_after(at, " addr "), 16, &f->address);
    if (fault_number(fault_after(at, "flags="), 16, &value) || fault_number(fault_after(at, "flags "), 16, &value))
        f->flags = (unsigned)(value & 0xfff);
    if (fault_number(fault_after(at, "domain="), 16, &value))
        f->domain = (unsigned)(value & 0xffff);
    if (fault_number(fault_after(at, "pasid="), 16, &value)) {
        f->has_pasid = true;
        f->pasid = (uint32_t)value;
    }
    f->write = f->flags & NW_AMD_FLAG_RW;
    return true;
}

/* ---- groups ---- */

static bool same(const struct nw_logged_fault *a, const struct nw_logged_fault *b)
{
    return a->source == b->source && a->reason == b->reason && a->has_device == b->has_device && a->bdf == b->bdf &&
           a->segment == b->segment && a->write == b->write && a->has_pasid == b->has_pasid && a->pasid == b->pasid &&
           a->flags == b->flags;
}

static enum nw_status add(struct nw_fault_log *log, const struct nw_logged_fault *f, uint64_t line,
                          struct nw_error *err)
{
    struct nw_fault_group *g = NULL;
    for (size_t i = 0; i < log->count && !g; i++)
        if (same(&log->group[i].fault, f))
            g = &log->group[i];
    if (!g) {
        if (log->count == log->capacity) {
            const size_t capacity = log->capacity ? log->capacity * 2 : 16;
            struct nw_fault_group *more = realloc(log->group, capacity * sizeof *more);
            if (!more)
                return nw_fail_nomem(err, "the faults of a log");
            log->group = more;
            log->capacity = capacity;
        }
        g = &log->group[log->count++];
        *g = (struct nw_fault_group){ .fault = *f, .first_line = line, .lowest = f->address, .highest = f->address };
    }
    log->last = (size_t)(g - log->group) + 1;
    g->count++;
    g->last_line = line;
    g->lowest = f->address < g->lowest ? f->address : g->lowest;
    g->highest = f->address > g->highest ? f->address : g->highest;
    return NW_OK;
}

enum nw_status nw_fault_log_line(struct nw_fault_log *log, const char *line, uint64_t line_number, struct nw_error *err)
{
    struct nw_logged_fault f;
    log->lines++;
    if (fault_entries_line(log, line)) {
        log->understood++;
        return NW_OK;
    }
    if (amd_event(line, &f)) {
        log->understood++;
        return add(log, &f, line_number, err);
    }
    const bool request = intel_request(line, &f);
    if (request) {
        log->understood++;
        log->pending = f;
        log->pending_line = line_number;
    }
    /* Xen says "reason 06 - ..." in hexadecimal, without the word before it. */
    uint64_t xen;
    if (log->pending_line && intel_reason(line, &log->pending)) {
        log->understood += !request;
    } else if (log->pending_line && !request && strstr(line, "DMAR") &&
               fault_number(fault_after(line, "reason "), 16, &xen) && xen < NW_BIT(8)) {
        log->pending.reason = (unsigned)xen;
        log->understood++;
    } else {
        return NW_OK;
    }
    const uint64_t first = log->pending_line;
    log->pending_line = 0;
    return add(log, &log->pending, first, err);
}

void nw_fault_log_fini(struct nw_fault_log *log)
{
    free(log->group);
    *log = (struct nw_fault_log){ 0 };
}
