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

#define ANY                                                                                                            \
    {                                                                                                                  \
        0, 0                                                                                                           \
    }
#define BOOL                                                                                                           \
    {                                                                                                                  \
        0, 1                                                                                                           \
    }
#define BDF                                                                                                            \
    {                                                                                                                  \
        0, 0xffff                                                                                                      \
    }
#define BYTES                                                                                                          \
    {                                                                                                                  \
        1, UINT64_MAX                                                                                                  \
    }

const struct nw_event_kind_info nw_event_kind_table[NW_EV_KIND_END] = {
    [NW_EV_CPL] = { "cpl", 1, { "cpl" }, "privilege level from here on", { { 0, 3 } } },
    [NW_EV_CR_WRITE] = { "cr-write", 2, { "cr", "value" }, "move to a control register", { { 0, 15 } } },
    [NW_EV_MSR_WRITE] = { "msr-write",
                          2,
                          { "msr", "value" },
                          "write of a model-specific register",
                          { { 0, UINT32_MAX } } },
    [NW_EV_INVLPG] = { "invlpg", 1, { "gva" }, "invalidate one page" },
    [NW_EV_INVPCID] = { "invpcid", 3, { "type", "pcid", "gva" }, "invalidate by PCID", { { 0, 3 }, { 0, 0xfff } } },
    [NW_EV_INVVPID] = { "invvpid", 3, { "type", "vpid", "gva" }, "invalidate by VPID", { { 0, 3 }, { 0, 0xffff } } },
    [NW_EV_INVEPT] = { "invept", 2, { "type", "eptp" }, "invalidate by EPT pointer", { { 1, 2 } } },
    [NW_EV_TABLE_WRITE] = { "table-write",
                            3,
                            { "gpa", "bytes", "value" },
                            "store that changed a guest page-table page",
                            { ANY, { 1, 8 } } },
    [NW_EV_TABLE_PAGE] = { "table-page",
                           1,
                           { "gpa" },
                           "a page became a page-table page; its non-zero words",
                           { ANY },
                           "index,word",
                           2,
                           1024 },
    [NW_EV_PAGE_FAULT] = { "page-fault",
                           2,
                           { "gva", "error_code" },
                           "the guest took a page fault",
                           { ANY, { 0, UINT32_MAX } } },
    [NW_EV_VM_EXIT] = { "vm-exit", 3, { "reason", "tsc", "info" }, "the guest was left" },
    [NW_EV_VM_ENTRY] = { "vm-entry", 1, { "tsc" }, "the guest was entered" },
    [NW_EV_MMIO] = { "mmio",
                     4,
                     { "gpa", "bytes", "value", "write" },
                     "access to a device's memory",
                     { ANY, BYTES, ANY, BOOL } },
    [NW_EV_PIO] = { "pio",
                    4,
                    { "port", "bytes", "value", "write" },
                    "access to an I/O port",
                    { { 0, 0xffff }, BYTES, ANY, BOOL } },
    [NW_EV_DMA_MAP] = { "dma-map",
                        5,
                        { "bdf", "iova", "gpa", "bytes", "rights" },
                        "the guest mapped memory for a device",
                        { BDF, ANY, ANY, BYTES, { 0, 7 } } },
    [NW_EV_DMA_UNMAP] = { "dma-unmap",
                          3,
                          { "bdf", "iova", "bytes" },
                          "the guest unmapped memory of a device",
                          { BDF, ANY, BYTES } },
    [NW_EV_DMA_ACCESS] = { "dma-access",
                           4,
                           { "bdf", "iova", "bytes", "write" },
                           "a device accessed memory",
                           { BDF, ANY, BYTES, BOOL } },
    [NW_EV_DMA_INVALIDATE] = { "dma-invalidate",
                               4,
                               { "bdf", "iova", "bytes", "granularity" },
                               "IOTLB invalidation",
                               { BDF } },
    [NW_EV_BALLOON_INFLATE] = { "balloon-inflate",
                                2,
                                { "gpa", "pages" },
                                "the guest gave pages to the host",
                                { ANY, BYTES } },
    [NW_EV_BALLOON_DEFLATE] = { "balloon-deflate", 2, { "gpa", "pages" }, "the guest took pages back", { ANY, BYTES } },
    [NW_EV_PAGE_HASH] = { "page-hash", 2, { "gpa", "hash" }, "xxh3-64 of a page's content" },
    [NW_EV_MARKER] = { "marker",
                       2,
                       { "type", "id" },
                       "region of interest, phase, or the user's own",
                       { { NW_MARKER_ROI_BEGIN, NW_MARKER_USER } },
                       "text",
                       1,
                       NW_EVENT_DATA_WORDS_MAX },
    [NW_EV_GUEST_WALK] = { "guest-walk",
                           2,
                           { "gva", "error_code" },
                           "a guest walk that the hypervisor reported",
                           { ANY, { 0, UINT32_MAX } },
                           "level,entry",
                           2,
                           16 },
};

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
