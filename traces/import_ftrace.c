/* Lines of ftrace and trace-cmd report:
 *     task-pid [cpu] flags 1234.567890: dma_map_phys: 0000:03:00.0 dir=FROM_DEVICE dma_addr=ffffe000 size=2048 phys_addr=10a000 attrs= */
#include "import_events.h"
#include <ctype.h>
#include <nestwalk/base/bits.h>
#include <string.h>

enum { READ_BY_DEVICE = 1, WRITTEN_BY_DEVICE = 2 };

struct traced {
    uint64_t ns;
    char name[40];
    const char *fields;
};

/* "SECONDS.FRACTION: NAME: FIELDS" somewhere in the line. */
static bool find_event(const char *line, struct traced *t)
{
    for (const char *dot = strchr(line, '.'); dot; dot = strchr(dot + 1, '.')) {
        const char *start = dot, *end = dot + 1;
        while (start > line && isdigit((unsigned char)start[-1]))
            start--;
        uint64_t fraction = 0, unit = 1000000000;
        for (; isdigit((unsigned char)*end) && unit > 1; end++) {
            unit /= 10;
            fraction += (uint64_t)(*end - '0') * unit;
        }
        if (start == dot || end == dot + 1 || *end != ':' || dot - start > 9)
            continue;
        uint64_t seconds;
        if (!event_number(start, 10, &seconds))
            continue;
        const char *name = end + 1;
        while (*name == ' ' || *name == '\t')
            name++;
        const size_t length = strcspn(name, ": \t");
        if (!length || length >= sizeof t->name || name[length] != ':')
            continue;
        memcpy(t->name, name, length);
        t->name[length] = 0;
        t->fields = name + length + 1;
        while (*t->fields == ' ' || *t->fields == '\t')
            t->fields++;
        t->ns = seconds * 1000000000 + fraction;
        return true;
    }
    return false;
}

/* "CPU:3 [LOST 17 EVENTS]" */
static bool lost(const char *line, struct event_out *out)
{
    uint64_t count;
    if (!event_number(event_after(line, "[LOST "), 10, &count) || !strstr(line, "EVENTS]"))
        return false;
    event_put(out, NW_EV_MARKER, NW_MARKER_USER, count, 0, 0, 0);
    return true;
}

static enum nw_status lacks(struct nw_input *in, const struct traced *t, const char *what, struct nw_error *err)
{
    return nw_input_fail(in, err, "event %s: expected %s, found \"%.60s\"", t->name, what, t->fields);
}

static unsigned rights_of(const char *fields)
{
    const char *dir = event_after(fields, "dir=");
    if (dir && !strncmp(dir, "TO_DEVICE", 9))
        return READ_BY_DEVICE;
    return dir && !strncmp(dir, "FROM_DEVICE", 11) ? WRITTEN_BY_DEVICE : READ_BY_DEVICE | WRITTEN_BY_DEVICE;
}

/* ---- dma:* ---- */

/* "{0x1000,0x2000}" of up to SG_MAX numbers. */
static unsigned array(const char *at, uint64_t *out)
{
    unsigned n = 0;
    if (!at || *at++ != '{')
        return 0;
    while (n < SG_MAX && event_number(at, 0, &out[n])) {
        n++;
        at += strcspn(at, ",}");
        if (*at != ',')
            break;
        at++;
    }
    return n;
}

static struct sg_list *sg_slot(struct event_out *out, uint16_t bdf, uint64_t phys)
{
    return &out->sg[nw_mix64(phys ^ (uint64_t)bdf << 48) & (SG_LISTS - 1)];
}

static enum nw_status map_sg(struct nw_input *in, const struct traced *t, uint16_t bdf, struct event_out *out,
                             struct nw_error *err)
{
    uint64_t dma[SG_MAX], bytes[SG_MAX], phys[SG_MAX];
    const unsigned n = array(event_after(t->fields, "dma_addrs="), dma),
                   sizes = array(event_after(t->fields, "sizes="), bytes),
                   pages = array(event_after(t->fields, "phys_addrs="), phys);
    if (!n || n != sizes || !pages)
        return lacks(in, t, "dma_addrs={...}, as many sizes={...}, and phys_addrs={...}", err);
    struct sg_list *list = sg_slot(out, bdf, phys[0]);
    list->first_phys = phys[0];
    list->bdf = bdf;
    list->count = (uint16_t)n;
    for (unsigned i = 0; i < n;
         i++) { /* entries may have been joined: the physical address of a later one is not known then */
        list->dma[i] = dma[i];
        list->bytes[i] = (uint32_t)bytes[i];
        event_put(out, NW_EV_DMA_MAP, bdf, dma[i], n == pages ? phys[i] : phys[0], bytes[i], rights_of(t->fields));
    }
    return NW_OK;
}

static enum nw_status unmap_sg(struct nw_input *in, const struct traced *t, uint16_t bdf, struct event_out *out,
                               struct nw_error *err)
{
    uint64_t phys[SG_MAX];
    if (!array(event_after(t->fields, "phys_addrs="), phys))
        return lacks(in, t, "phys_addrs={...}", err);
    struct sg_list *list = sg_slot(out, bdf, phys[0]);
    if (!list->count || list->first_phys != phys[0] || list->bdf != bdf)
        return NW_OK; /* mapped before the trace began */
    for (unsigned i = 0; i < list->count; i++)
        event_put(out, NW_EV_DMA_UNMAP, bdf, list->dma[i], list->bytes[i], 0, 0);
    list->count = 0;
    return NW_OK;
}

static enum nw_status one_range(struct nw_input *in, const struct traced *t, uint16_t bdf, bool maps,
                                struct event_out *out, struct nw_error *err)
{
    uint64_t dma, bytes, phys;
    if (!event_number(event_after(t->fields, "dma_addr="), 16, &dma) ||
        !event_number(event_after(t->fields, "size="), 10, &bytes))
        return lacks(in, t, "dma_addr=HEX size=N", err);
    if (!bytes)
        return NW_OK;
    if (!maps) {
        event_put(out, NW_EV_DMA_UNMAP, bdf, dma, bytes, 0, 0);
        return NW_OK;
    }
    if (!event_number(event_after(t->fields, "phys_addr="), 16, &phys))
        phys = dma; /* coherent memory: where it is, the event does not tell */
    event_put(out, NW_EV_DMA_MAP, bdf, dma, phys, bytes, rights_of(t->fields));
    return NW_OK;
}

enum nw_status nw_import_ftrace_dma(struct nw_input *in, const char *line, struct event_out *out, struct nw_error *err)
{
    static const struct {
        const char *name;
        bool maps, list;
    } known[] = { { "dma_map_phys", true, false },        { "dma_map_page", true, false },
                  { "dma_map_resource", true, false },    { "dma_alloc", true, false },
                  { "dma_alloc_pages", true, false },     { "dma_map_sg", true, true },
                  { "dma_unmap_phys", false, false },     { "dma_unmap_page", false, false },
                  { "dma_unmap_resource", false, false }, { "dma_free", false, false },
                  { "dma_free_pages", false, false },     { "dma_unmap_sg", false, true } };
    struct traced t;
    if (!find_event(line, &t)) {
        (void)lost(line, out);
        return NW_OK;
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(known); i++) {
        uint16_t bdf = 0;
        if (strcmp(t.name, known[i].name))
            continue;
        (void)event_device(t.fields, &bdf);
        event_time(out, t.ns);
        return !known[i].list  ? one_range(in, &t, bdf, known[i].maps, out, err)
               : known[i].maps ? map_sg(in, &t, bdf, out, err)
                               : unmap_sg(in, &t, bdf, out, err);
    }
    return NW_OK;
}

/* ---- iommu:*, intel_iommu:qi_submit ---- */

/* A device that the unit refused: an access to what is not mapped. */
static enum nw_status page_fault(struct nw_input *in, const struct traced *t, struct event_out *out,
                                 struct nw_error *err)
{
    uint64_t iova, flags;
    uint16_t bdf = 0;
    const char *device = strchr(t->fields, ' ');
    if (!event_number(event_after(t->fields, "iova="), 0, &iova) ||
        !event_number(event_after(t->fields, "flags="), 0, &flags))
        return lacks(in, t, "iova=0x... flags=0x...", err);
    (void)event_device(device ? device + 1 : NULL, &bdf);
    event_put(out, NW_EV_DMA_ACCESS, bdf, iova, 1, flags & 1, 0); /* Linux, IOMMU_FAULT_WRITE */
    return NW_OK;
}

/* VT-d, "IOTLB Invalidate Descriptor": granularity in bits 5:4 (1 all, 2 domain, 3 pages), address and mask in the second word. */
static void invalidation(const struct traced *t, struct event_out *out)
{
    uint64_t low, high = 0;
    const char *at = event_after(t->fields, ": ");
    if (strncmp(t->fields, "iotlb_inv", 9) || !event_number(at, 0, &low))
        return;
    at = strchr(at, ' ');
    (void)event_number(at, 0, &high);
    const uint64_t granularity = nw_field(low, 5, 4), log2 = nw_field(high, 5, 0);
    if (granularity == 3 && log2 < 52)
        event_put(out, NW_EV_DMA_INVALIDATE, 0, high & ~UINT64_C(0xfff), UINT64_C(4096) << log2, granularity, 0);
    else
        event_put(out, NW_EV_DMA_INVALIDATE, 0, 0, 0, granularity, 0);
}

enum nw_status nw_import_ftrace_iommu(struct nw_input *in, const char *line, struct event_out *out,
                                      struct nw_error *err)
{
    struct traced t;
    uint64_t iova, phys, bytes;
    if (!find_event(line, &t)) {
        (void)lost(line, out);
        return NW_OK;
    }
    const bool map = !strcmp(t.name, "map"), unmap = !strcmp(t.name, "unmap"), fault = !strcmp(t.name, "io_page_fault"),
               submit = !strcmp(t.name, "qi_submit");
    if (!map && !unmap && !fault && !submit)
        return NW_OK;
    event_time(out, t.ns);
    if (submit) {
        invalidation(&t, out);
        return NW_OK;
    }
    if (fault)
        return page_fault(in, &t, out, err);
    /* "size=" stands before "unmapped_size=" */
    if (!event_number(event_after(t.fields, "iova="), 0, &iova) ||
        !event_number(event_after(t.fields, " size="), 10, &bytes) ||
        (map && !event_number(event_after(t.fields, "paddr="), 0, &phys)))
        return lacks(in, &t, map ? "iova=0x... paddr=0x... size=N" : "iova=0x... size=N", err);
    if (!bytes)
        return NW_OK;
    if (map)
        event_put(out, NW_EV_DMA_MAP, 0, iova, phys, bytes,
                  READ_BY_DEVICE | WRITTEN_BY_DEVICE); /* for which domain, the event does not tell */
    else
        event_put(out, NW_EV_DMA_UNMAP, 0, iova, bytes, 0, 0);
    return NW_OK;
}

/* ---- QEMU's log: "[PID@SECONDS.FRACTION:]vtd_dmar_translate dev 00:02.0 iova 0x... -> gpa 0x... mask 0x..." ---- */

static bool qemu_time(const char *line, uint64_t *ns)
{
    const char *at = strchr(line, '@'), *dot = at ? strchr(at, '.') : NULL;
    uint64_t seconds, fraction = 0, unit = 1000000000;
    if (!dot || !event_number(at + 1, 10, &seconds) || seconds > UINT64_MAX / 2000000000)
        return false;
    for (const char *p = dot + 1; isdigit((unsigned char)*p) && unit > 1; p++) {
        unit /= 10;
        fraction += (uint64_t)(*p - '0') * unit;
    }
    *ns = seconds * 1000000000 + fraction;
    return true;
}

enum nw_status nw_import_qemu_vtd(struct nw_input *in, const char *line, struct event_out *out, struct nw_error *err)
{
    const char *translate = event_after(line, "vtd_dmar_translate "),
               *pages = event_after(line, "vtd_inv_desc_iotlb_pages "),
               *domain = event_after(line, "vtd_inv_desc_iotlb_domain "),
               *global = event_after(line, "vtd_inv_desc_iotlb_global");
    uint64_t ns, iova, mask;
    uint16_t bdf = 0;
    if (!translate && !pages && !domain && !global)
        return NW_OK;
    if (qemu_time(line, &ns))
        event_time(out, ns);
    if (translate) {
        if (!event_device(event_after(translate, "dev "), &bdf) ||
            !event_number(event_after(translate, "iova "), 0, &iova))
            return nw_input_fail(in, err, "vtd_dmar_translate: expected \"dev BB:DD.F iova 0x...\", found \"%.60s\"",
                                 translate);
        event_put(out, NW_EV_DMA_ACCESS, bdf, iova, 1, 0, 0);
    } else if (pages) {
        if (!event_number(event_after(pages, "addr "), 0, &iova) ||
            !event_number(event_after(pages, "mask "), 0, &mask) || mask > 51)
            return nw_input_fail(
                in, err, "vtd_inv_desc_iotlb_pages: expected \"addr 0x... mask 0x...\", found \"%.60s\"", pages);
        event_put(out, NW_EV_DMA_INVALIDATE, 0, iova, UINT64_C(4096) << mask, 3, 0);
    } else {
        event_put(out, NW_EV_DMA_INVALIDATE, 0, 0, 0, domain ? 2 : 1, 0);
    }
    return NW_OK;
}
