#include <nestwalk/traces/block.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const uint16_t nw_kind_size_bytes[NW_KIND_SIZE_CODES] = {
    1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  11,  12,  13,  14,   15,   16,
    20, 24, 28, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096,
};

uint8_t nw_kind_size_code(unsigned bytes)
{
    if (bytes <= 16)
        return (uint8_t)(bytes ? bytes - 1 : 0);
    uint8_t code = 16;
    while (code < NW_KIND_SIZE_CODES - 1 && nw_kind_size_bytes[code] < bytes)
        code++;
    return code;
}

/* ---- events ---- */

/* Ranges of arguments; those not given are ANY. */
#define ANY                                                                                                            \
    {                                                                                                                  \
        0, 0                                                                                                           \
    }
#define BOOL                                                                                                           \
    {                                                                                                                  \
        0, 1                                                                                                           \
    }
#define WORD                                                                                                           \
    {                                                                                                                  \
        0, UINT32_MAX                                                                                                  \
    }
#define SHORT                                                                                                          \
    {                                                                                                                  \
        0, 0xffff                                                                                                      \
    } /* a BDF, a VPID, a port */
#define SOME                                                                                                           \
    {                                                                                                                  \
        1, UINT64_MAX                                                                                                  \
    }
#define ARGS(count, ...)        .args = (count), .arg_name = { __VA_ARGS__ }
#define RANGES(...)             .arg_range = { __VA_ARGS__ }
#define DATA(name_, step, most) .data_name = (name_), .data_step = (step), .data_max = (most)

/* clang-format off */
const struct nw_event_kind_info nw_event_kind_table[NW_EV_KIND_END] = {
    [NW_EV_CPL] = { .name = "cpl", .doc = "privilege level from here on", ARGS(1, "cpl"), RANGES({ 0, 3 }) },
    [NW_EV_CR_WRITE] = { .name = "cr-write", .doc = "move to a control register", ARGS(2, "cr", "value"), RANGES({ 0, 15 }) },
    [NW_EV_MSR_WRITE] = { .name = "msr-write", .doc = "write of a model-specific register", ARGS(2, "msr", "value"), RANGES(WORD) },
    [NW_EV_INVLPG] = { .name = "invlpg", .doc = "invalidate one page", ARGS(1, "gva") },
    [NW_EV_INVPCID] = { .name = "invpcid", .doc = "invalidate by PCID", ARGS(3, "type", "pcid", "gva"),
                        RANGES({ 0, 3 }, { 0, 0xfff }) },
    [NW_EV_INVVPID] = { .name = "invvpid", .doc = "invalidate by VPID", ARGS(3, "type", "vpid", "gva"), RANGES({ 0, 3 }, SHORT) },
    [NW_EV_INVEPT] = { .name = "invept", .doc = "invalidate by EPT pointer", ARGS(2, "type", "eptp"), RANGES({ 1, 2 }) },
    [NW_EV_TABLE_WRITE] = { .name = "table-write", .doc = "store that changed a guest page-table page",
                            ARGS(3, "gpa", "bytes", "value"), RANGES(ANY, { 1, 8 }) },
    [NW_EV_TABLE_PAGE] = { .name = "table-page", .doc = "a page became a page-table page; its non-zero words", ARGS(1, "gpa"),
                           DATA("index,word", 2, 2 * NW_WORDS_PER_PAGE) },
    [NW_EV_PAGE_FAULT] = { .name = "page-fault", .doc = "the guest took a page fault", ARGS(2, "gva", "error_code"),
                           RANGES(ANY, WORD) },
    [NW_EV_VM_EXIT] = { .name = "vm-exit", .doc = "the guest was left", ARGS(3, "reason", "tsc", "info") },
    [NW_EV_VM_ENTRY] = { .name = "vm-entry", .doc = "the guest was entered", ARGS(1, "tsc") },
    [NW_EV_MMIO] = { .name = "mmio", .doc = "access to a device's memory", ARGS(4, "gpa", "bytes", "value", "write"),
                     RANGES(ANY, SOME, ANY, BOOL) },
    [NW_EV_PIO] = { .name = "pio", .doc = "access to an I/O port", ARGS(4, "port", "bytes", "value", "write"),
                    RANGES(SHORT, SOME, ANY, BOOL) },
    [NW_EV_DMA_MAP] = { .name = "dma-map", .doc = "the guest mapped memory for a device",
                        ARGS(5, "bdf", "iova", "gpa", "bytes", "rights"), RANGES(SHORT, ANY, ANY, SOME, { 0, 7 }) },
    [NW_EV_DMA_UNMAP] = { .name = "dma-unmap", .doc = "the guest unmapped memory of a device", ARGS(3, "bdf", "iova", "bytes"),
                          RANGES(SHORT, ANY, SOME) },
    [NW_EV_DMA_ACCESS] = { .name = "dma-access", .doc = "a device accessed memory", ARGS(4, "bdf", "iova", "bytes", "write"),
                           RANGES(SHORT, ANY, SOME, BOOL) },
    [NW_EV_DMA_INVALIDATE] = { .name = "dma-invalidate", .doc = "IOTLB invalidation", ARGS(4, "bdf", "iova", "bytes", "granularity"),
                               RANGES(SHORT) },
    [NW_EV_BALLOON_INFLATE] = { .name = "balloon-inflate", .doc = "the guest gave pages to the host", ARGS(2, "gpa", "pages"),
                                RANGES(ANY, SOME) },
    [NW_EV_BALLOON_DEFLATE] = { .name = "balloon-deflate", .doc = "the guest took pages back", ARGS(2, "gpa", "pages"),
                                RANGES(ANY, SOME) },
    [NW_EV_PAGE_HASH] = { .name = "page-hash", .doc = "xxh3-64 of a page's content", ARGS(2, "gpa", "hash") },
    [NW_EV_MARKER] = { .name = "marker", .doc = "region of interest, phase, or the user's own", ARGS(2, "type", "id"),
                       RANGES({ NW_MARKER_ROI_BEGIN, NW_MARKER_USER }), DATA("text", 1, NW_EVENT_DATA_WORDS_MAX) },
    [NW_EV_GUEST_WALK] = { .name = "guest-walk", .doc = "a guest walk that the hypervisor reported", ARGS(2, "gva", "error_code"),
                           RANGES(ANY, WORD), DATA("level,entry", 2, 16) },
    [NW_EV_INVLPGA] = { .name = "invlpga", .doc = "invalidate one page of a guest", ARGS(2, "gva", "asid"), RANGES(ANY, WORD) },
    [NW_EV_TLB_CONTROL] = { .name = "tlb-control", .doc = "what VMRUN flushed", ARGS(1, "value"), RANGES({ 0, 7 }) },
    [NW_EV_TIME] = { .name = "time", .doc = "when what follows happens, in nanoseconds", ARGS(1, "ns") },
    [NW_EV_IO_BEGIN] = { .name = "io-begin", .doc = "the driver began a packet or request",
                         ARGS(5, "bdf", "kind", "id", "bytes", "flow"), RANGES(SHORT, { NW_IO_RECEIVE, NW_IO_WRITE }, ANY, SOME) },
    [NW_EV_IO_END] = { .name = "io-end", .doc = "the device completed it", ARGS(2, "bdf", "id"), RANGES(SHORT) },
    [NW_EV_PAGE_CONTENT] = { .name = "page-content", .doc = "xxh3-64 of a page's content, and its size when compressed",
                             ARGS(3, "gpa", "hash", "packed_bytes"), RANGES(ANY, ANY, { 1, 4096 }) },
};
/* clang-format on */

static enum nw_status check_data(const struct nw_event *e, const struct nw_event_kind_info *k, struct nw_error *err)
{
    if (!e->data_words)
        return NW_OK;
    if (!k->data_name)
        return nw_fail(err, NW_ERR_INPUT, "event %s has %" PRIu32 " data words, none are allowed", k->name,
                       e->data_words);
    if (e->data_words > k->data_max || e->data_words % k->data_step)
        return nw_fail(err, NW_ERR_INPUT,
                       "event %s has %" PRIu32 " data words, allowed are multiples of %" PRIu32 " up to %" PRIu32,
                       k->name, e->data_words, k->data_step, k->data_max);
    /* The first word of a pair is an index that consumers use as one. */
    uint64_t limit = e->kind == NW_EV_TABLE_PAGE ? NW_WORDS_PER_PAGE : e->kind == NW_EV_GUEST_WALK ? 5 : 0;
    for (uint32_t i = 0; limit && i < e->data_words; i += 2)
        if (e->data[i] >= limit)
            return nw_fail(err, NW_ERR_INPUT, "event %s names %s %" PRIu64 ", allowed is less than %" PRIu64, k->name,
                           e->kind == NW_EV_TABLE_PAGE ? "word" : "level", e->data[i], limit);
    return NW_OK;
}

enum { TLB_CONTROLS_RESERVED = 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 };

enum nw_status nw_event_check(const struct nw_event *e, struct nw_error *err)
{
    if (e->kind >= NW_EV_KIND_END || !nw_event_kind_table[e->kind].name)
        return nw_fail(err, NW_ERR_INPUT, "event kind %u is unknown, allowed are 1 to %d", e->kind, NW_EV_KIND_END - 1);
    const struct nw_event_kind_info *k = &nw_event_kind_table[e->kind];
    for (unsigned i = 0; i < k->args; i++) {
        uint64_t first = k->arg_range[i].first, last = k->arg_range[i].last;
        if ((first || last) && (e->arg[i] < first || e->arg[i] > last))
            return nw_fail(err, NW_ERR_INPUT, "event %s has %s %" PRIu64 ", allowed is %" PRIu64 " to %" PRIu64,
                           k->name, k->arg_name[i], e->arg[i], first, last);
    }
    if (e->kind == NW_EV_TLB_CONTROL && (TLB_CONTROLS_RESERVED >> e->arg[0] & 1))
        return nw_fail(err, NW_ERR_INPUT, "event %s has value %" PRIu64 ", allowed are 0, 1, 3 and 7", k->name,
                       e->arg[0]);
    return check_data(e, k, err);
}

/* ---- trace info ---- */

void nw_trace_info_init(struct nw_trace_info *info)
{
    memset(info, 0, sizeof *info);
    info->vcpu_count = 1;
    info->gva_bits = 48;
}

void nw_trace_info_fini(struct nw_trace_info *info)
{
    if (!info)
        return;
    free(info->table);
    info->table = NULL;
    info->table_count = 0;
}

enum nw_status nw_trace_info_copy(struct nw_trace_info *to, const struct nw_trace_info *from, struct nw_error *err)
{
    struct nw_table_page *table = NULL;
    if (from->table_count) {
        table = malloc(from->table_count * sizeof *table);
        if (!table)
            return nw_fail_nomem(err, "a trace's page-table pages");
        memcpy(table, from->table, from->table_count * sizeof *table);
    }
    *to = *from;
    to->table = table;
    return NW_OK;
}
