/* The words that a translation reads, for whoever watches it, and what is in them. */
#include "../text/field_text.h"
#include "amdvi_internal.h"
#include <stdio.h>

void amdvi_watch_need(struct nw_amdvi_watch *watch, uint64_t address)
{
    if (watch->need)
        watch->need(watch->context, address);
}

void amdvi_watch_word(const struct amdvi_walk *w, uint64_t address, uint64_t value, bool readable)
{
    struct nw_amdvi_watch *watch = w->t->watch;
    if (watch->count < NW_AMDVI_READS_MAX)
        watch->read[watch->count] = (struct nw_amdvi_read){ .table = w->table,
                                                            .word = w->word,
                                                            .level = w->level,
                                                            .readable = readable,
                                                            .address = address,
                                                            .value = value };
    watch->count++;
}

void amdvi_watch_level(struct nw_amdvi_watch *watch, unsigned level)
{
    if (watch->count && watch->count <= NW_AMDVI_READS_MAX)
        watch->read[watch->count - 1].level = (uint8_t)level;
}

void nw_amdvi_read_name(const struct nw_amdvi_read *r, char *out, size_t out_size)
{
    static const char *const name[NW_AMDVI_TABLES] = { "device table entry", "GCR3 table entry", "guest entry",
                                                       "host entry", "interrupt entry" };
    const bool words = r->table == NW_AMDVI_DEVICE_ENTRY || r->table == NW_AMDVI_INTERRUPT_ENTRY;
    snprintf(out, out_size, "%s, %s %u", name[r->table], words ? "word" : "level", words ? r->word : r->level);
}

/* ---- fields ------------------------------------------------------------------------------------- */

static void decode_device_0(struct iommu_text *t, uint64_t v)
{
    iommu_text_add(t, v & DTE_V ? "V" : "V clear: DMA passes");
    if (!(v & DTE_V))
        return;
    iommu_text_add(t, v & DTE_TV ? "TV" : "TV clear");
    if (!(v & DTE_TV))
        return;
    if (DTE_MODE(v)) {
        iommu_text_add(t, "mode %u", DTE_MODE(v));
        iommu_text_address(t, "host tables at", v, 12);
    } else {
        iommu_text_add(t, "mode 0: no host tables");
    }
    iommu_text_if(t, DTE_HAD(v) != HAD_OFF, DTE_HAD(v) == HAD_BOTH ? "A and D kept" : "A kept");
    iommu_text_if(t, v & DTE_PPR_ENABLE, "PPR");
    iommu_text_if(t, v & DTE_GIOV, "GIOV");
    if (v & DTE_GV)
        iommu_text_add(t, "GV, GCR3 table of %u level%s", DTE_GLX(v) + 1, DTE_GLX(v) ? "s" : "");
    iommu_text_if(t, v & DTE_IR, "IR");
    iommu_text_if(t, v & DTE_IW, "IW");
    iommu_text_if(t, !(v & (DTE_IR | DTE_IW)), "neither IR nor IW");
}

static void decode_device_1(struct iommu_text *t, uint64_t v)
{
    static const char *const io[] = { "port I/O aborted", NULL, "port I/O translated", "IoCtl reserved" };
    static const char *const management[] = { NULL, "system management forwarded", "INTx forwarded",
                                              "system management translated" };
    iommu_text_add(t, "domain 0x%x", (unsigned)(v & DTE_DOMAIN));
    iommu_text_if(t, v & DTE_I, "I: ATS allowed");
    iommu_text_if(t, v & DTE_SA, "SA: page faults are not logged");
    iommu_text_if(t, v & DTE_EX, "EX: exclusion range");
    if (io[DTE_IOCTL(v)])
        iommu_text_add(t, "%s", io[DTE_IOCTL(v)]);
    if (management[DTE_SYSMGT(v)])
        iommu_text_add(t, "%s", management[DTE_SYSMGT(v)]);
}

static void decode_device_2(struct iommu_text *t, uint64_t v)
{
    static const char *const control[] = { "aborted", "forwarded", "remapped", "IntCtl reserved" };
    iommu_text_add(t, v & 1 ? "IV" : "IV clear: interrupts pass");
    if (v & 1) {
        iommu_text_add(t, "fixed interrupts %s", control[nw_field(v, 61, 60)]);
        iommu_text_add(t, "interrupt table of 2^%u entries at 0x%llx", (unsigned)nw_field(v, 4, 1),
                       (unsigned long long)(v & nw_mask(51, 7)));
    }
    if (DTE_GUEST_LEVELS(v) != 4)
        iommu_text_add(t, "guest tables of %u levels", DTE_GUEST_LEVELS(v));
}

static void decode_device(struct iommu_text *t, const struct nw_amdvi_read *r)
{
    switch (r->word) {
    case 0: decode_device_0(t, r->value); break;
    case 1: decode_device_1(t, r->value); break;
    case 2: decode_device_2(t, r->value); break;
    default: iommu_text_add(t, r->value & DTE_MODE0FC ? "Mode0FC" : "attributes"); break;
    }
}

static void add_size(struct iommu_text *t, unsigned log2)
{
    static const char unit[] = "KMGTP";
    iommu_text_add(t, "page of %u %ciB", 1u << (log2 % 10), unit[log2 / 10 - 1]);
}

static void decode_host(struct iommu_text *t, const struct nw_amdvi_read *r)
{
    const uint64_t v = r->value;
    const unsigned next = (unsigned)nw_field(v, 11, 9);
    if (!iommu_text_present(t, v))
        return;
    iommu_text_add(t, v & DTE_IR   ? v & DTE_IW ? "readable and writable" : "readable"
                      : v & DTE_IW ? "writable"
                                   : "neither readable nor writable");
    iommu_text_if(t, v & NW_BIT(5), "accessed");
    if (next && next != 7) {
        iommu_text_add(t, "table of level %u at 0x%llx", next, (unsigned long long)(v & nw_mask(51, 12)));
        return;
    }
    iommu_text_if(t, v & NW_BIT(6), "dirty");
    iommu_text_if(t, v & NW_BIT(59), "U");
    iommu_text_if(t, v & NW_BIT(60), "FC");
    const uint64_t clear = ~v & nw_mask(51, 12);
    const unsigned log2 = !next ? NW_PAGE_LOG2 + 9 * (r->level - 1u) : clear ? (unsigned)__builtin_ctzll(clear) + 1 : 0;
    if (!log2 || log2 > NW_PHYS_BITS_MAX) {
        iommu_text_add(t, "no page size");
        return;
    }
    add_size(t, log2);
    iommu_text_address(t, "at", v, log2);
}

/* A leaf of level n maps 2^(12 + 9 (n - 1)) bytes; bit 7 makes levels 2 and 3 leaves. */
static void decode_guest(struct iommu_text *t, const struct nw_amdvi_read *r)
{
    const uint64_t v = r->value;
    const bool large = (r->level == 2 || r->level == 3) && (v & NW_BIT(7));
    if (!iommu_text_present(t, v))
        return;
    iommu_text_add(t, v & 2 ? "writable" : "read-only");
    iommu_text_add(t, v & 4 ? "user" : "supervisor");
    iommu_text_if(t, v & NW_BIT(63), "no-execute");
    iommu_text_if(t, v & NW_BIT(5), "accessed");
    if (r->level > 1 && !large) {
        iommu_text_address(t, "table at GPA", v, 12);
        return;
    }
    iommu_text_if(t, v & NW_BIT(6), "dirty");
    add_size(t, NW_PAGE_LOG2 + 9 * (r->level - 1u));
    iommu_text_address(t, "at GPA", v, NW_PAGE_LOG2 + 9 * (r->level - 1u));
}

static void decode_interrupt(struct iommu_text *t, const struct nw_amdvi_read *r)
{
    if (!r->word)
        iommu_text_if(t, true, r->value & 1 ? "RemapEn" : "RemapEn clear");
    else
        iommu_text_add(t, "vector 0x%x", (unsigned)nw_field(r->value, 7, 0));
}

void nw_amdvi_read_decode(const struct nw_amdvi_read *r, char *out, size_t out_size)
{
    struct iommu_text t = { .out = out, .size = out_size };
    if (out_size)
        out[0] = 0;
    if (!r->readable) {
        iommu_text_add(&t, "cannot be read: no memory there");
        return;
    }
    switch (r->table) {
    case NW_AMDVI_DEVICE_ENTRY: decode_device(&t, r); break;
    case NW_AMDVI_GCR3_ENTRY:
        if (iommu_text_present(&t, r->value))
            iommu_text_address(&t, r->level > 1 ? "table at" : "CR3", r->value, 12);
        break;
    case NW_AMDVI_GUEST_ENTRY: decode_guest(&t, r); break;
    case NW_AMDVI_INTERRUPT_ENTRY: decode_interrupt(&t, r); break;
    default: decode_host(&t, r); break;
    }
}

/* ---- events ------------------------------------------------------------------------------------- */

struct event_words {
    uint8_t code;
    uint16_t mask, flags; /* of the flags, those that tell the rows apart */
    const char *text, *remedy;
};

/* The first row that fits. */
static const struct event_words words[] = {
    { NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, NW_AMDVI_FLAG_RZ, NW_AMDVI_FLAG_RZ,
      "reserved bits or encodings in the device table entry",
      "Clear the bits of the device table entry that the unit's features do not allow, and use no reserved HAD, IoCtl "
      "or "
      "IntCtl." },
    { NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0, 0,
      "device id beyond the device table, or more table levels than the unit has",
      "Enlarge the device table (its register's size field), or use no more levels than EFR's HATS, GATS and GLXSup "
      "allow." },
    { NW_AMDVI_DEV_TAB_HARDWARE_ERROR, 0, 0, "the device table entry cannot be read",
      "Point the Device Table Base Address Register to a table that lies in memory." },
    { NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0, 0, "an entry of a page table cannot be read",
      "Point the entry above it, or the device table entry, to a table that lies in memory." },
    { NW_AMDVI_INVALID_DEVICE_REQUEST, 7 << 9, NW_AMDVI_ATS_DISABLED << 9,
      "a translated or translation request of a device without ATS",
      "Set I of a valid device table entry when the device is to use its TLB, or turn ATS off in the device." },
    { NW_AMDVI_INVALID_DEVICE_REQUEST, 7 << 9, NW_AMDVI_PORT_IO << 9, "port I/O that IoCtl aborts",
      "Set IoCtl of the device table entry when the device is to do port I/O." },
    { NW_AMDVI_INVALID_DEVICE_REQUEST, 7 << 9, NW_AMDVI_SYSTEM_MANAGEMENT << 9,
      "a system management request that SysMgt aborts",
      "Set SysMgt of the device table entry when the device may send these." },
    { NW_AMDVI_INVALID_DEVICE_REQUEST, 0, 0, "not a write, in the interrupt address range",
      "Map no DMA buffer at 0xfee00000 to 0xfeefffff: only writes, which are interrupts, may go there." },
    { NW_AMDVI_INVALID_PPR_REQUEST, 0, 0, "a page request of a device that may send none",
      "Set PPR of the device table entry, or turn page requests off in the device." },
    { NW_AMDVI_ILLEGAL_COMMAND_ERROR, 0, 0, "a command with reserved bits, or one that the unit lacks",
      "Correct the command at this address, then turn the command buffer off and on." },
    { NW_AMDVI_COMMAND_HARDWARE_ERROR, 0, 0, "a command cannot be read",
      "Put the command buffer into memory, then turn it off and on." },
    { NW_AMDVI_IOTLB_INV_TIMEOUT, 0, 0, "the device did not answer an invalidation of its TLB",
      "Reset the device, or keep ATS off in it." },
    { NW_AMDVI_IO_PAGE_FAULT, NW_AMDVI_FLAG_PR, 0, "the address is not mapped",
      "Map the address in the tables of the device's domain; check that TV is set, that the PASID is one, and that the "
      "address lies within the tables' levels." },
    { NW_AMDVI_IO_PAGE_FAULT, NW_AMDVI_FLAG_PE | NW_AMDVI_FLAG_RW, NW_AMDVI_FLAG_PE | NW_AMDVI_FLAG_RW,
      "the page may not be written",
      "Set IW in the device table entry and in every entry on the way to the page (RW in a guest's)." },
    { NW_AMDVI_IO_PAGE_FAULT, NW_AMDVI_FLAG_PE, NW_AMDVI_FLAG_PE, "the page does not permit this access",
      "Set IR in the device table entry and in every entry on the way to the page; of a guest's tables, let US and NX "
      "permit "
      "what was asked." },
    { NW_AMDVI_IO_PAGE_FAULT, NW_AMDVI_FLAG_RZ, NW_AMDVI_FLAG_RZ, "reserved bits in a paging entry",
      "Clear bits 58:52 (of entries that point to tables 60:52), and in a guest's entries address bits beyond the "
      "unit's width." },
    { NW_AMDVI_IO_PAGE_FAULT, 0, 0, "a level that the entry cannot have",
      "Let NextLevel be lower than the level of the entry's own table, and a page's size lie between those of its "
      "level and the "
      "next." },
};

static const struct event_words *words_of(const struct nw_amdvi_event *e)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(words); i++)
        if (e->code == words[i].code && (e->flags & words[i].mask) == words[i].flags)
            return &words[i];
    return NULL;
}

const char *nw_amdvi_event_text(const struct nw_amdvi_event *e)
{
    const struct event_words *w = words_of(e);
    return w ? w->text : NULL;
}

const char *nw_amdvi_event_remedy(const struct nw_amdvi_event *e)
{
    const struct event_words *w = words_of(e);
    return w ? w->remedy : NULL;
}
