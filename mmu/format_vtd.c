#include "format_internal.h"
#include <nestwalk/mmu/format_vtd.h>

/* VT-d, "Second-Stage Paging Entries". R 0, W 1, PS 7, A 8, D 9, SNP 11, TM 62. An entry with neither R nor W is not
 * present. Bits 2 (X), 6:3 (memory type of a leaf), 10, 61:52 and 63 are ignored. SNP and TM belong to leaves: bit 11 is
 * reserved in an entry that points to a table, bit 62 likewise. Level numbers of the specification are one higher. */
#define SS_BITS                                                                                                        \
    .entry_log2 = 3, .input_rule = NW_INPUT_ZERO, .leaf_rule = NW_LEAF_BIT, .fault_rule = NW_FAULT_VTD,                \
    .leaf_bit = NW_BIT(7), .present = UINT64_C(3), .read = NW_BIT(0), .write = NW_BIT(1), .accessed = NW_BIT(8),       \
    .dirty = NW_BIT(9), .software = NW_BIT(10) | UINT64_C(0xbff) << 52, .address = UINT64_C(0x000ffffffffff000)
#define SS_SNP NW_BIT(11)
#define SS_TM  NW_BIT(62)
#define SS_LEVELS                                                                                                      \
    { .table = "SL1", .index_low = 12, .index_bits = 9, .leaf = true },                                                \
        { .table = "SL2",                                                                                              \
          .index_low = 21,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_table = SS_SNP | SS_TM,                                                                            \
          .reserved_leaf = UINT64_C(0x1ff000) /* 20:12 */ },                                                           \
    {                                                                                                                  \
        .table = "SL3", .index_low = 30, .index_bits = 9, .leaf = true, .reserved_table = SS_SNP | SS_TM,              \
        .reserved_leaf = UINT64_C(0x3ffff000) /* 29:12 */                                                              \
    }
#define SS_LEVEL(number, low)                                                                                          \
    {                                                                                                                  \
        .table = "SL" #number, .index_low = low, .index_bits = 9, .reserved_table = NW_BIT(7) | SS_SNP | SS_TM         \
    }

/* VT-d, "First-Stage Paging Entries": P 0, R/W 1, U/S 2, A 5, D 6, PS 7, G 8, EA 10, XD 63; bits 62:52 are ignored,
 * and so is bit 8 of entries that point to a table. */
#define FS_BITS                                                                                                        \
    .entry_log2 = 3, .input_rule = NW_INPUT_CANONICAL, .leaf_rule = NW_LEAF_BIT, .fault_rule = NW_FAULT_VTD,           \
    .leaf_bit = NW_BIT(7), .present = NW_BIT(0), .read = NW_BIT(0), .write = NW_BIT(1), .user = NW_BIT(2),             \
    .accessed = NW_BIT(5), .dirty = NW_BIT(6), .global = NW_BIT(8), .no_execute = NW_BIT(63),                          \
    .software = NW_BIT(9) | NW_BIT(11) | UINT64_C(0x7ff) << 52, .address = UINT64_C(0x000ffffffffff000)
#define FS_EA NW_BIT(10)
#define FS_LEVELS                                                                                                      \
    { .table = "FS-PT", .index_low = 12, .index_bits = 9, .leaf = true },                                              \
        { .table = "FS-PD",                                                                                            \
          .index_low = 21,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_leaf = UINT64_C(0x1fe000) /* 20:13 */ },                                                           \
        { .table = "FS-PDP",                                                                                           \
          .index_low = 30,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_leaf = UINT64_C(0x3fffe000) /* 29:13 */ },                                                         \
    {                                                                                                                  \
        .table = "FS-PML4", .index_low = 39, .index_bits = 9, .reserved_table = NW_BIT(7)                              \
    }

#define ROW(format) [NW_FORMAT_VTD_##format - NW_FORMAT_COUNT]
const struct nw_format nw_vtd_formats[NW_FORMAT_VTD_END - NW_FORMAT_COUNT] = {
    ROW(SS_3LEVEL) = { .id = NW_FORMAT_VTD_SS_3LEVEL,
                       .name = "vtd-second-3level",
                       .levels = 3,
                       .input_bits = 39,
                       SS_BITS,
                       .level = { SS_LEVELS } },
    ROW(SS_4LEVEL) = { .id = NW_FORMAT_VTD_SS_4LEVEL,
                       .name = "vtd-second-4level",
                       .levels = 4,
                       .input_bits = 48,
                       SS_BITS,
                       .level = { SS_LEVELS, SS_LEVEL(4, 39) } },
    ROW(SS_5LEVEL) = { .id = NW_FORMAT_VTD_SS_5LEVEL,
                       .name = "vtd-second-5level",
                       .levels = 5,
                       .input_bits = 57,
                       SS_BITS,
                       .level = { SS_LEVELS, SS_LEVEL(4, 39), SS_LEVEL(5, 48) } },
    ROW(FS_4LEVEL) = { .id = NW_FORMAT_VTD_FS_4LEVEL,
                       .name = "vtd-first-4level",
                       .levels = 4,
                       .input_bits = 48,
                       FS_BITS,
                       .level = { FS_LEVELS } },
    ROW(FS_5LEVEL) = { .id = NW_FORMAT_VTD_FS_5LEVEL,
                       .name = "vtd-first-5level",
                       .levels = 5,
                       .input_bits = 57,
                       FS_BITS,
                       .level = { FS_LEVELS,
                                  { .table = "FS-PML5",
                                    .index_low = 48,
                                    .index_bits = 9,
                                    .reserved_table = NW_BIT(7) } } },
};

static enum nw_status check_tree(const char *what, uint64_t root, unsigned levels, unsigned least, unsigned haw,
                                 struct nw_error *err)
{
    enum nw_status s = nw_paging_check_width(what, haw, 32, err);
    if (s)
        return s;
    if (levels < least || levels > 5)
        return nw_fail(err, NW_ERR_INPUT, "%s: %u levels; %u to 5 are allowed", what, levels, least);
    if (root & (nw_mask(11, 0) | nw_mask(63, haw)))
        return nw_fail(err, NW_ERR_INPUT, "%s: the root 0x%llx must be 4 KiB aligned and below 2^%u", what,
                       (unsigned long long)root, haw);
    return NW_OK;
}

enum nw_status nw_paging_init_vtd_second(struct nw_paging *out, const struct nw_vtd_second_stage *r,
                                         struct nw_error *err)
{
    enum nw_status s = check_tree("VT-d second stage", r->root, r->levels, 3, r->haw, err);
    if (s)
        return s;
    const struct nw_format *f = nw_vtd_format((enum nw_format_id)(NW_FORMAT_VTD_SS_3LEVEL + (r->levels - 3)));
    nw_paging_resolve(out, f, r->haw, r->large_1g);
    out->root = r->root;
    out->table_access = NW_ACCESS_READ;
    if (!r->large_2m) {
        out->level[1].leaf_select = 0;
        out->level[1].reserved_table |= f->leaf_bit;
    }
    for (unsigned level = 0; level < 3; level++)
        out->level[level].reserved_leaf |= (r->snoop_control ? 0 : SS_SNP) | (r->transient_mapping ? 0 : SS_TM);
    if (!r->accessed_dirty) {
        out->accessed = out->dirty = 0;
        for (unsigned level = 0; level < out->levels; level++)
            out->level[level].accessed = 0;
    }
    /* Bit 2 and memory types are none of a DMA's business, so an instruction fetch needs what a read needs. */
    for (enum nw_privilege who = NW_SUPERVISOR; who < NW_PRIVILEGES; who++) {
        out->need[who][NW_ACCESS_READ] = out->need[who][NW_ACCESS_FETCH] = f->read;
        out->need[who][NW_ACCESS_WRITE] = f->write;
        out->need[who][NW_ACCESS_RMW] = f->read | f->write;
    }
    return NW_OK;
}

enum nw_status nw_paging_init_vtd_first(struct nw_paging *out, const struct nw_vtd_first_stage *r, struct nw_error *err)
{
    enum nw_status s = check_tree("VT-d first stage", r->root, r->levels, 4, r->haw, err);
    if (s)
        return s;
    const struct nw_format *f = nw_vtd_format(r->levels == 5 ? NW_FORMAT_VTD_FS_5LEVEL : NW_FORMAT_VTD_FS_4LEVEL);
    nw_paging_resolve(out, f, r->haw, r->large_1g);
    out->root = r->root;
    out->fetch_reported = true;
    out->write_protect = r->write_protect;
    for (unsigned level = 0; level < out->levels; level++)
        out->level[level].accessed |= r->extended_accessed ? FS_EA : 0;
    for (enum nw_privilege who = NW_SUPERVISOR; who < NW_PRIVILEGES; who++) {
        uint64_t base = who == NW_USER ? f->user : 0, store = who == NW_USER || r->write_protect ? f->write : 0;
        out->need[who][NW_ACCESS_READ] = base;
        out->need[who][NW_ACCESS_WRITE] = out->need[who][NW_ACCESS_RMW] = base | store;
        out->need[who][NW_ACCESS_FETCH] = base | f->no_execute;
    }
    return NW_OK;
}
