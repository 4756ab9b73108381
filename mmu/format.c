#include "format_internal.h"
#include <stdio.h>
#include <string.h>

/* The formats as the manuals print them: SDM vol. 3, "Paging", the figures "Formats of CR3 and Paging-Structure
 * Entries" of each mode, and "Format of an EPT ... Entry". A level's reserved bits that depend on MAXPHYADDR, NXE or
 * CPUID are added by nw_paging_init_*(). */

#define X86_BITS                                                                                                       \
    .leaf_rule = NW_LEAF_BIT, .fault_rule = NW_FAULT_X86, .leaf_bit = NW_BIT(7), .present = NW_BIT(0),                 \
    .read = NW_BIT(0), .write = NW_BIT(1), .user = NW_BIT(2), .accessed = NW_BIT(5), .dirty = NW_BIT(6),               \
    .global = NW_BIT(8), .software = UINT64_C(7) << 9
#define X86_WIDE .no_execute = NW_BIT(63), .address = UINT64_C(0x000ffffffffff000), .entry_log2 = 3
#define X86_LONG X86_BITS, X86_WIDE, .input_rule = NW_INPUT_CANONICAL, .pkey = UINT64_C(15) << 59
/* MODEL: bit 8 of PML5E and PML4E is ignored, as the SDM has it and current processors of both vendors do. */
#define X86_LONG_LEVELS                                                                                                \
    { .table = "PT", .index_low = 12, .index_bits = 9, .leaf = true },                                                 \
        { .table = "PD",                                                                                               \
          .index_low = 21,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_leaf = UINT64_C(0x1fe000) /* 20:13 */ },                                                           \
        { .table = "PDPT",                                                                                             \
          .index_low = 30,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_leaf = UINT64_C(0x3fffe000) /* 29:13 */ },                                                         \
    {                                                                                                                  \
        .table = "PML4", .index_low = 39, .index_bits = 9, .reserved_table = NW_BIT(7)                                 \
    }
#define EPT_BITS                                                                                                       \
    .entry_log2 = 3, .input_rule = NW_INPUT_ZERO, .leaf_rule = NW_LEAF_BIT, .fault_rule = NW_FAULT_EPT,                \
    .leaf_bit = NW_BIT(7), .present = UINT64_C(7), .read = NW_BIT(0), .write = NW_BIT(1), .execute = NW_BIT(2),        \
    .execute_user = NW_BIT(10), .accessed = NW_BIT(8), .dirty = NW_BIT(9), .software = NW_BIT(11),                     \
    .address = UINT64_C(0x000ffffffffff000)
#define EPT_LEVELS                                                                                                     \
    { .table = "EPT1", .index_low = 12, .index_bits = 9, .leaf = true },                                               \
        { .table = "EPT2",                                                                                             \
          .index_low = 21,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_table = UINT64_C(0x78), /* 6:3 */                                                                  \
          .reserved_leaf = UINT64_C(0x1ff000) /* 20:12 */ },                                                           \
        { .table = "EPT3",                                                                                             \
          .index_low = 30,                                                                                             \
          .index_bits = 9,                                                                                             \
          .leaf = true,                                                                                                \
          .reserved_table = UINT64_C(0x78),                                                                            \
          .reserved_leaf = UINT64_C(0x3ffff000) /* 29:12 */ },                                                         \
    {                                                                                                                  \
        .table = "EPT4", .index_low = 39, .index_bits = 9, .reserved_table = UINT64_C(0xf8) /* 7:3 */                  \
    }

const struct nw_format nw_formats[NW_FORMAT_COUNT] = {
    [NW_FORMAT_X86_OFF] = { .id = NW_FORMAT_X86_OFF,
                            .name = "x86-off",
                            .input_bits = 32,
                            .input_rule = NW_INPUT_TRUNCATE },
    [NW_FORMAT_X86_2LEVEL] = { .id = NW_FORMAT_X86_2LEVEL,
                               .name = "x86-2level",
                               .levels = 2,
                               .input_bits = 32,
                               .input_rule = NW_INPUT_TRUNCATE,
                               .entry_log2 = 2,
                               X86_BITS,
                               .address = UINT64_C(0xfffff000),
                               .level = { { .table = "PT", .index_low = 12, .index_bits = 10, .leaf = true },
                                          { .table = "PD",
                                            .index_low = 22,
                                            .index_bits = 10,
                                            .leaf = true,
                                            .reserved_leaf = NW_BIT(21) } } },
    [NW_FORMAT_X86_PAE] = { .id = NW_FORMAT_X86_PAE,
                            .name = "x86-pae",
                            .levels = 3,
                            .input_bits = 32,
                            .input_rule = NW_INPUT_TRUNCATE,
                            X86_BITS,
                            X86_WIDE,
                            .level = { { .table = "PT",
                                         .index_low = 12,
                                         .index_bits = 9,
                                         .leaf = true,
                                         .reserved_leaf = UINT64_C(0x7ff0000000000000) /* 62:52 */ },
                                       { .table = "PD",
                                         .index_low = 21,
                                         .index_bits = 9,
                                         .leaf = true,
                                         .reserved_table = UINT64_C(0x7ff0000000000000),
                                         .reserved_leaf = UINT64_C(0x7ff00000001fe000) /* 62:52, 20:13 */ },
                                       { .table = "PDPT",
                                         .index_low = 30,
                                         .index_bits = 2,
                                         .reserved_table = UINT64_C(0xfff00000000001e6) /* 63:52, 8:5, 2:1 */ } } },
    [NW_FORMAT_X86_4LEVEL] = { .id = NW_FORMAT_X86_4LEVEL,
                               .name = "x86-4level",
                               .levels = 4,
                               .input_bits = 48,
                               X86_LONG,
                               .level = { X86_LONG_LEVELS } },
    [NW_FORMAT_X86_5LEVEL] = { .id = NW_FORMAT_X86_5LEVEL,
                               .name = "x86-5level",
                               .levels = 5,
                               .input_bits = 57,
                               X86_LONG,
                               .level = { X86_LONG_LEVELS,
                                          { .table = "PML5",
                                            .index_low = 48,
                                            .index_bits = 9,
                                            .reserved_table = NW_BIT(7) } } },
    [NW_FORMAT_EPT_4LEVEL] = { .id = NW_FORMAT_EPT_4LEVEL,
                               .name = "ept-4level",
                               .levels = 4,
                               .input_bits = 48,
                               EPT_BITS,
                               .level = { EPT_LEVELS } },
    [NW_FORMAT_EPT_5LEVEL] = { .id = NW_FORMAT_EPT_5LEVEL,
                               .name = "ept-5level",
                               .levels = 5,
                               .input_bits = 57,
                               EPT_BITS,
                               .level = { EPT_LEVELS,
                                          { .table = "EPT5",
                                            .index_low = 48,
                                            .index_bits = 9,
                                            .reserved_table = UINT64_C(0xf8) } } },
};

/* ---- from format and registers to final masks --------------------------------------------------- */

enum nw_status nw_paging_check_width(const char *what, unsigned maxphyaddr, unsigned least, struct nw_error *err)
{
    if (maxphyaddr < least || maxphyaddr > NW_PHYS_BITS_MAX)
        return nw_fail(err, NW_ERR_INPUT, "%s: MAXPHYADDR is %u; %u to %d are allowed", what, maxphyaddr, least,
                       NW_PHYS_BITS_MAX);
    return NW_OK;
}

/* What every format shares: geometry, address fields below MAXPHYADDR, and the bits above it reserved. */
void nw_paging_resolve(struct nw_paging *out, const struct nw_format *format, unsigned maxphyaddr, bool huge_1g)
{
    *out = (struct nw_paging){ .format = format,
                               .levels = format->levels,
                               .entry_log2 = format->entry_log2,
                               .input_bits = format->input_bits,
                               .input_rule = (uint8_t)format->input_rule,
                               .fault_rule = (uint8_t)format->fault_rule,
                               .maxphyaddr = (uint8_t)maxphyaddr,
                               .present = format->present,
                               .invert = format->no_execute,
                               .leaf_bit = format->leaf_bit,
                               .accessed = format->accessed,
                               .dirty = format->dirty,
                               .global = format->global };
    uint64_t below = nw_mask(maxphyaddr - 1, 0);
    uint64_t above = format->entry_log2 == 3 ? nw_mask(51, maxphyaddr) : 0;
    out->table_address = format->address & below;
    for (unsigned level = 0; level < format->levels; level++) {
        const struct nw_format_level *f = &format->level[level];
        struct nw_paging_level *l = &out->level[level];
        bool leaf = f->leaf && !(f->index_low == NW_PAGE_1G_LOG2 && !huge_1g);
        l->index_low = f->index_low;
        l->index_bits = f->index_bits;
        l->leaf_select = leaf && level > 0 ? format->leaf_bit : 0;
        l->reserved_table = f->reserved_table | above;
        if (f->leaf && !leaf)
            l->reserved_table |= format->leaf_bit;
        l->reserved_leaf = f->reserved_leaf | above;
        l->leaf_address = format->address & below & ~nw_mask(f->index_low - 1, 0);
        l->accessed = format->accessed;
    }
}

void nw_paging_reserve_everywhere(struct nw_paging *p, uint64_t bits)
{
    for (unsigned level = 0; level < p->levels; level++) {
        p->level[level].reserved_table |= bits;
        p->level[level].reserved_leaf |= bits;
    }
}

/* SDM vol. 3, "Determination of Access Rights". */
static void resolve_guest_rights(struct nw_paging *p, const struct nw_guest_registers *r, bool nxe)
{
    uint64_t user = p->format->user, write = p->format->write, fetch = nxe ? p->format->no_execute : 0;
    bool smep = r->cr4 & NW_CR4_SMEP, smap = r->cr4 & NW_CR4_SMAP;
    for (enum nw_privilege who = NW_SUPERVISOR; who < NW_PRIVILEGES; who++) {
        uint64_t base = who == NW_USER ? user : 0;
        uint64_t store = who == NW_USER || p->write_protect ? write : 0;
        p->need[who][NW_ACCESS_READ] = base;
        p->need[who][NW_ACCESS_WRITE] = p->need[who][NW_ACCESS_RMW] = base | store;
        p->need[who][NW_ACCESS_FETCH] = base | fetch;
        p->forbid[who][NW_ACCESS_FETCH] = smep && who != NW_USER ? user : 0;
        p->forbid[who][NW_ACCESS_READ] = p->forbid[who][NW_ACCESS_WRITE] = p->forbid[who][NW_ACCESS_RMW] =
            smap && who == NW_SUPERVISOR ? user : 0;
    }
}

/* 32-bit paging: PS counts only with CR4.PSE; a 4 MiB leaf holds address bits 39:32 in its bits 20:13, as far as
 * MAXPHYADDR goes (PSE-36). */
static void resolve_2level(struct nw_paging *p, bool pse)
{
    struct nw_paging_level *directory = &p->level[1];
    unsigned high_bits = p->maxphyaddr <= 32 ? 0 : p->maxphyaddr >= 40 ? 8 : p->maxphyaddr - 32u;
    if (!pse)
        directory->leaf_select = 0;
    p->pse36 = high_bits ? nw_mask(12 + high_bits, 13) : 0;
    directory->reserved_leaf |= nw_mask(21, 13 + high_bits);
}

struct nw_guest_registers nw_guest_registers_long(unsigned levels, uint64_t root)
{
    return (struct nw_guest_registers){
        .cr0 = NW_CR0_PG | NW_CR0_WP | NW_CR0_PE,
        .cr3 = root,
        .cr4 = NW_CR4_PAE | NW_CR4_PGE | (levels == 5 ? NW_CR4_LA57 : 0),
        .efer = NW_EFER_LME | NW_EFER_LMA | NW_EFER_NXE,
        .maxphyaddr = NW_PHYS_BITS_MAX,
        .huge_1g = true,
    };
}

enum nw_status nw_paging_init_guest(struct nw_paging *out, const struct nw_guest_registers *r, struct nw_error *err)
{
    bool lma = r->efer & NW_EFER_LMA, pae = r->cr4 & NW_CR4_PAE;
    enum nw_status s = nw_paging_check_width("guest paging", r->maxphyaddr, 32, err);
    if (s)
        return s;
    enum nw_format_id id = !(r->cr0 & NW_CR0_PG)  ? NW_FORMAT_X86_OFF
                           : !pae                 ? NW_FORMAT_X86_2LEVEL
                           : !lma                 ? NW_FORMAT_X86_PAE
                           : r->cr4 & NW_CR4_LA57 ? NW_FORMAT_X86_5LEVEL
                                                  : NW_FORMAT_X86_4LEVEL;
    if (lma && (r->cr0 & NW_CR0_PG) && !pae)
        return nw_fail(err, NW_ERR_INPUT, "guest paging: EFER.LMA needs CR4.PAE (CR4 0x%llx, EFER 0x%llx)",
                       (unsigned long long)r->cr4, (unsigned long long)r->efer);
    if (id >= NW_FORMAT_X86_4LEVEL && r->cr3 & nw_mask(63, r->maxphyaddr))
        return nw_fail(err, NW_ERR_INPUT, "guest paging: CR3 0x%llx has bits at or above MAXPHYADDR %u",
                       (unsigned long long)r->cr3, r->maxphyaddr);

    bool nxe = (r->efer & NW_EFER_NXE) && pae, longmode = id >= NW_FORMAT_X86_4LEVEL;
    nw_paging_resolve(out, &nw_formats[id], r->maxphyaddr, r->huge_1g);
    out->write_protect = r->cr0 & NW_CR0_WP;
    if (id == NW_FORMAT_X86_OFF)
        return NW_OK;
    out->root = r->cr3 & (id == NW_FORMAT_X86_PAE      ? nw_mask(31, 5)
                          : id == NW_FORMAT_X86_2LEVEL ? nw_mask(31, 12)
                                                       : nw_mask(51, 12));
    out->fetch_reported = nxe || (r->cr4 & NW_CR4_SMEP);
    out->pku = longmode && (r->cr4 & NW_CR4_PKE);
    out->pks = longmode && (r->cr4 & NW_CR4_PKS);
    out->pkru = r->pkru;
    out->pkrs = r->pkrs;
    if (!(r->cr4 & NW_CR4_PGE))
        out->global = 0;
    if (!nxe)
        nw_paging_reserve_everywhere(out, out->format->no_execute);
    if (id == NW_FORMAT_X86_2LEVEL)
        resolve_2level(out, r->cr4 & NW_CR4_PSE);
    if (id == NW_FORMAT_X86_PAE) {
        out->root_in_registers = r->pdpte_in_registers;
        memcpy(out->pdpte, r->pdpte, sizeof out->pdpte);
        out->level[2].accessed = 0;
        out->level[2].grants = out->format->write | out->format->user | out->format->no_execute;
    }
    resolve_guest_rights(out, r, nxe);
    return NW_OK;
}

enum nw_status nw_paging_init_ept(struct nw_paging *out, const struct nw_ept_registers *r, struct nw_error *err)
{
    enum nw_status s = nw_paging_check_width("EPT", r->maxphyaddr, 32, err);
    if (s)
        return s;
    /* SDM vol. 3, "Checks on VMX Controls": what VM entry demands of the EPTP. */
    unsigned walk_length = (unsigned)nw_field(r->eptp, 5, 3) + 1, memory_type = (unsigned)nw_field(r->eptp, 2, 0);
    if (walk_length != 4 && walk_length != 5)
        return nw_fail(err, NW_ERR_INPUT, "EPTP 0x%llx: page-walk length is %u; 4 and 5 are allowed",
                       (unsigned long long)r->eptp, walk_length);
    if (memory_type != 0 && memory_type != 6)
        return nw_fail(err, NW_ERR_INPUT, "EPTP 0x%llx: memory type is %u; 0 (UC) and 6 (WB) are allowed",
                       (unsigned long long)r->eptp, memory_type);
    if (r->eptp & (nw_mask(11, 8) | nw_mask(63, r->maxphyaddr)))
        return nw_fail(err, NW_ERR_INPUT, "EPTP 0x%llx: bits 11:8 and those from MAXPHYADDR %u on must be zero",
                       (unsigned long long)r->eptp, r->maxphyaddr);

    bool accessed_dirty = r->eptp & NW_BIT(6), mbec = r->mode_based_execute;
    const struct nw_format *f = &nw_formats[walk_length == 5 ? NW_FORMAT_EPT_5LEVEL : NW_FORMAT_EPT_4LEVEL];
    nw_paging_resolve(out, f, r->maxphyaddr, r->huge_1g);
    out->root = r->eptp & nw_mask(51, 12);
    out->mode_based_execute = mbec;
    out->advanced_exit_info = r->advanced_exit_info;
    out->log_dirty = r->page_modification_log && accessed_dirty;
    out->table_access = accessed_dirty ? NW_ACCESS_RMW : NW_ACCESS_READ;
    if (mbec)
        out->present |= f->execute_user;
    if (!accessed_dirty) {
        out->accessed = out->dirty = 0;
        for (unsigned level = 0; level < out->levels; level++)
            out->level[level].accessed = 0;
    }
    /* SDM vol. 3, "EPT Misconfigurations". Combinations by bits 2:0 = X, W, R: writable but not readable; without
     * execute-only support executable but not readable. With mode-based execute control an entry whose bits 2:0 are 000
     * is present through bit 10 alone. */
    out->bad_rwx = (1u << 2) | (1u << 6);
    if (!r->execute_only)
        out->bad_rwx |= (uint8_t)((1u << 4) | (mbec ? 1u : 0));
    out->bad_memory_type = (1u << 2) | (1u << 3) | (1u << 7);
    for (enum nw_privilege who = NW_SUPERVISOR; who < NW_PRIVILEGES; who++) {
        out->need[who][NW_ACCESS_READ] = f->read;
        out->need[who][NW_ACCESS_WRITE] = f->write;
        out->need[who][NW_ACCESS_RMW] = f->read | f->write;
        out->need[who][NW_ACCESS_FETCH] = mbec && who == NW_USER ? f->execute_user : f->execute;
    }
    return NW_OK;
}

enum nw_status nw_paging_init_npt(struct nw_paging *out, const struct nw_npt_registers *r, struct nw_error *err)
{
    static const enum nw_format_id id_of[] = {
        [2] = NW_FORMAT_X86_2LEVEL, [3] = NW_FORMAT_X86_PAE, [4] = NW_FORMAT_X86_4LEVEL, [5] = NW_FORMAT_X86_5LEVEL
    };
    enum nw_status s = nw_paging_check_width("NPT", r->maxphyaddr, 32, err);
    if (s)
        return s;
    if (r->levels < 2 || r->levels > 5)
        return nw_fail(err, NW_ERR_INPUT, "NPT: %u levels; 2 to 5 are allowed", r->levels);
    if (r->ncr3 & nw_mask(63, r->maxphyaddr))
        return nw_fail(err, NW_ERR_INPUT, "nCR3 0x%llx has bits at or above MAXPHYADDR %u", (unsigned long long)r->ncr3,
                       r->maxphyaddr);
    const struct nw_format *f = &nw_formats[id_of[r->levels]];
    bool nxe = r->nxe && r->levels > 2;
    nw_paging_resolve(out, f, r->maxphyaddr, r->huge_1g);
    out->root = r->ncr3 & (r->levels == 3 ? nw_mask(31, 5) : r->levels == 2 ? nw_mask(31, 12) : nw_mask(51, 12));
    out->input_rule = NW_INPUT_ZERO;
    out->fetch_reported = nxe;
    out->global = 0;
    /* APM vol. 2, "Nested Table Walk": walks of the guest's tables are user writes as far as the nested tables are
     * concerned. */
    out->table_access = NW_ACCESS_WRITE;
    if (!nxe)
        nw_paging_reserve_everywhere(out, f->no_execute);
    if (r->levels == 2)
        resolve_2level(out, r->pse);
    if (r->levels == 3) {
        out->level[2].accessed = 0;
        out->level[2].grants = f->write | f->user | f->no_execute;
    }
    for (enum nw_privilege who = NW_SUPERVISOR; who < NW_PRIVILEGES; who++) {
        out->need[who][NW_ACCESS_READ] = f->user;
        out->need[who][NW_ACCESS_WRITE] = out->need[who][NW_ACCESS_RMW] = f->user | f->write;
        out->need[who][NW_ACCESS_FETCH] = f->user | (nxe ? f->no_execute : 0);
    }
    return NW_OK;
}

int nw_pdptes_refused(const uint64_t pdpte[4], unsigned maxphyaddr)
{
    uint64_t reserved = UINT64_C(0x1e6) | nw_mask(63, maxphyaddr);
    for (int i = 0; i < 4; i++)
        if ((pdpte[i] & 1) && (pdpte[i] & reserved))
            return i;
    return -1;
}

int nw_paging_level_of(const struct nw_paging *p, unsigned page_log2)
{
    for (unsigned level = 0; level < p->levels; level++)
        if (p->level[level].index_low == page_log2)
            return level == 0 || p->level[level].leaf_select ? (int)level : -1;
    return -1;
}

/* ---- words -------------------------------------------------------------------------------------- */

static void append(char *out, size_t out_size, const char *word)
{
    size_t used = strlen(out);
    if (used + 1 < out_size)
        snprintf(out + used, out_size - used, "%s%s", used ? " " : "", word);
}

static void describe_rights(const struct nw_paging *p, uint64_t entry, bool leaf, char *out, size_t out_size)
{
    const struct nw_format *f = p->format;
    if (f->present != f->read) { /* EPT, VT-d second stage: reading has a bit of its own */
        append(out, out_size, entry & f->read ? "readable" : "unreadable");
        append(out, out_size, entry & f->write ? "writable" : "read-only");
        if (f->execute)
            append(out, out_size, entry & f->execute ? "executable" : "no-execute");
        if (p->mode_based_execute)
            append(out, out_size, entry & f->execute_user ? "user-executable" : "no-user-execute");
    } else {
        append(out, out_size, "present");
        append(out, out_size, entry & f->write ? "writable" : "read-only");
        append(out, out_size, entry & f->user ? "user" : "supervisor");
        if (entry & f->no_execute)
            append(out, out_size, "no-execute");
    }
    if (p->accessed)
        append(out, out_size, entry & p->accessed ? "accessed" : "not-accessed");
    if (leaf && p->dirty)
        append(out, out_size, entry & p->dirty ? "dirty" : "clean");
    if (leaf && (entry & p->global))
        append(out, out_size, "global");
}

void nw_entry_describe(const struct nw_paging *p, unsigned level, uint64_t entry, char *out, size_t out_size)
{
    char text[64];
    if (!out_size)
        return;
    out[0] = 0;
    if (!nw_entry_present(p, entry)) {
        append(out, out_size, "not present");
        return;
    }
    bool leaf = nw_entry_is_leaf(p, level, entry);
    if (p->level[level].grants)
        append(out, out_size, "present");
    else
        describe_rights(p, entry, leaf, out, out_size);
    if (nw_entry_is_bad(p, level, entry, leaf))
        append(out, out_size, p->fault_rule == NW_FAULT_EPT ? "misconfigured" : "reserved-bits-set");
    if (leaf && level)
        append(out, out_size, "large-page");
    uint64_t address = leaf ? nw_entry_page(p, level, entry) : entry & p->table_address;
    snprintf(text, sizeof text, "frame 0x%llx", (unsigned long long)(address >> NW_PAGE_LOG2));
    append(out, out_size, text);
}
