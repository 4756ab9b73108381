/* fault_machine.c - what the kernel's dump of entries and the machine's texts say about a fault. */
#include "log_internal.h"
#include <inttypes.h>
#include <nestwalk/iommu/amdvi_watch.h>
#include <nestwalk/iommu/fault_machine.h>
#include <nestwalk/iommu/vtd_unit.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- the dumped entries ------------------------------------------------------------------------------ */

/* Those of the unit that the dump names, when the texts tell them; else what no kernel's tables are refused for. */
static struct nw_vtd_capabilities capabilities(const struct nw_dump *d, const char *name, bool *told)
{
    struct nw_vtd_capabilities c = nw_vtd_config_default(NULL).unit;
    c.cap = (c.cap & ~nw_mask(21, 16)) | UINT64_C(56) << 16 | NW_BIT(11) | NW_VTD_CAP_FL5LP; /* 57 bits, five levels */
    c.ecap |= NW_VTD_ECAP_DT | NW_VTD_ECAP_PT | NW_VTD_ECAP_SC | NW_VTD_ECAP_MTS | NW_VTD_ECAP_NEST | NW_VTD_ECAP_PRS |
              NW_VTD_ECAP_ERS | NW_VTD_ECAP_SRS | NW_VTD_ECAP_EAFS | NW_VTD_ECAP_PASID | NW_VTD_ECAP_SMTS |
              NW_VTD_ECAP_SLADS | NW_VTD_ECAP_SLTS | NW_VTD_ECAP_FLTS | NW_VTD_ECAP_SMPWCS | NW_VTD_ECAP_RPRIVS;
    c.haw = 52;
    for (size_t i = 0; i < d->units; i++)
        if (!strcmp(d->unit[i].name, name) && d->unit[i].has[NW_DUMP_CAP] && d->unit[i].has[NW_DUMP_ECAP]) {
            c.cap = d->unit[i].value[NW_DUMP_CAP];
            c.ecap = d->unit[i].value[NW_DUMP_ECAP];
            *told = true;
        }
    return c;
}

static void list_entries(const struct nw_vtd_watch *watch, struct nw_fault_account *a)
{
    for (unsigned i = 0; i < watch->count && i < NW_VTD_READS_MAX; i++) {
        const struct nw_vtd_read *r = &watch->read[i];
        char name[48], decoded[256];
        const bool paging = r->table >= NW_VTD_FIRST_STAGE_ENTRY, pasid = r->table == NW_VTD_PASID_TABLE_ENTRY;
        if (!r->value && r->word && !paging && (!pasid || r->word > 2)) /* reserved, and 0 */
            continue;
        if (a->entries == NW_FAULT_ENTRIES_MAX)
            return;
        nw_vtd_read_name(r, name, sizeof name);
        nw_vtd_read_decode(r, decoded, sizeof decoded);
        snprintf(a->entry[a->entries++], NW_FAULT_ENTRY_MAX, "%s: 0x%016" PRIx64 ", %.160s", name, r->value, decoded);
    }
}

static void bytes_text(unsigned level, char out[24])
{
    static const char *const of[] = { "4 KiB", "2 MiB", "1 GiB", "512 GiB", "256 TiB" };
    snprintf(out, 24, "%s", of[level]);
}

/* Of the replayed request's fault: which entry, how much around the address it stands for, and whether it is a matter of rights. */
static void about_level(const struct nw_fault_replay *r, struct nw_fault_account *a)
{
    const struct nw_vtd_fault *fault = &r->result.fault;
    const unsigned last = r->watch.count < NW_VTD_READS_MAX ? r->watch.count : NW_VTD_READS_MAX;
    const uint64_t present = fault->second ? 3 : 1; /* second stage: readable or writable */
    char bytes[24];
    if (fault->level < 0 || fault->level > 4 || !last)
        return;
    bytes_text((unsigned)fault->level, bytes);
    nw_fault_about(a, "It is the %s-stage entry of level %d, which stands for the %s around the address.",
                   fault->second ? "second" : "first", fault->level + 1, bytes);
    if (!(r->watch.read[last - 1].value & present)) {
        nw_fault_about(a, "Nothing is mapped there: it is no matter of rights.");
    } else if (fault->reason == 0x05 || fault->reason == 0x06 || fault->reason == 0x79 || fault->reason == 0x85) {
        nw_fault_about(a, "The address is mapped without the right that the request needs.");
        nw_fault_first(a, FAULT_OTHER_DIRECTION, FAULT_LOOK_AT_DIRECTION);
    }
}

static enum nw_status about_entries(const struct nw_fault_group *g, const struct nw_dump *d, struct nw_fault_account *a,
                                    struct nw_error *err)
{
    struct nw_fault_replay r;
    bool told = false;
    const struct nw_vtd_capabilities unit = capabilities(d, g->entries.unit, &told);
    enum nw_status s = nw_fault_replay(g, &unit, &r, err);
    if (s)
        return s;
    const unsigned reason = r.result.fault.reason;
    list_entries(&r.watch, a);
    nw_fault_about(
        a, "The kernel has dumped the entries of %s at 0x%" PRIx64 "; they were put to the model of a unit, with %s.",
        g->entries.unit, g->entries.iova,
        told ? "the capabilities that the inputs tell of it" : "capabilities that allow everything");
    if (r.incomplete) {
        nw_fault_about(
            a, "The dump ends early (lines are missing, or the log was limited): the model could read no further "
               "than the entries that are listed.");
    } else if (reason == g->fault.reason) {
        nw_fault_about(a, "By these entries the request faults for the same reason.");
        about_level(&r, a);
    } else if (reason) {
        nw_fault_about(
            a,
            "By these entries the request faults for another reason, 0x%02x: %s. They were changed between the "
            "fault and the dump.",
            reason, nw_vtd_fault_text(reason));
        about_level(&r, a);
    } else {
        nw_fault_about(
            a, "By these entries the request is let through, to 0x%" PRIx64 ": they were written after the fault.",
            r.result.hpa.v);
        nw_fault_first(
            a,
            "The mapping came too late, or the unit went by what it had cached from before: the entries "
            "allow the request.",
            "Look for a driver that starts the device before it maps its buffer, and for a kernel that leaves "
            "out the invalidation after a change (nestwalk iommu check --earlier).");
    }
    return NW_OK;
}

/* ---- the function -------------------------------------------------------------------------------------- */

static const struct nw_dump_function *function_of(const struct nw_dump *d, const struct nw_logged_fault *f)
{
    for (size_t i = 0; i < d->functions; i++)
        if (d->function[i].bdf == f->bdf && (!f->has_segment || d->function[i].segment == f->segment))
            return &d->function[i];
    return NULL;
}

static const char *group_type(const struct nw_dump *d, unsigned number)
{
    for (size_t i = 0; i < d->groups; i++)
        if (d->group[i].number == number && d->group[i].type[0])
            return d->group[i].type;
    return "";
}

static void about_function(const struct nw_dump *d, const struct nw_logged_fault *f, struct nw_fault_account *a)
{
    const struct nw_dump_function *x = function_of(d, f);
    if (!d->functions || !f->has_device)
        return;
    if (!x) {
        nw_fault_about(a, "The machine's list of functions has none with this number.");
        if (f->source != NW_FAULT_VTD_INTERRUPT)
            nw_fault_first(
                a,
                "The requests carry the number of a function that is not there: an alias that a bridge or the "
                "device puts in, a function that the firmware hides, or a device that is gone.",
                "Find the device behind the same bridge that makes them (lspci -t), and give the kernel a DMA "
                "alias quirk for it.");
        return;
    }
    char more[160] = "";
    int used = 0;
    if (x->driver[0])
        used += snprintf(more + used, sizeof more - (size_t)used, "; its driver is %s", x->driver);
    if (x->has_group) {
        const char *type = group_type(d, x->group);
        snprintf(more + used, sizeof more - (size_t)used, "; it is in IOMMU group %u%s%s", x->group,
                 *type ? " of type " : "", type);
    }
    nw_fault_about(a, "The function is %s%s.", x->what[0] ? x->what : "there", more);
    if (x->has_command && !x->bus_master && f->source != NW_FAULT_VTD_INTERRUPT)
        nw_fault_about(
            a, "Its bus mastering is off in the list: the request was made before that, or by another function.");
}

/* ---- translation entries of the texts ------------------------------------------------------------------ */

static void say_word(struct nw_fault_account *a, const char *where, enum nw_vtd_table table, uint8_t word,
                     uint64_t value)
{
    const struct nw_vtd_read r = { .table = table, .word = word, .readable = true, .value = value };
    char name[48], decoded[256];
    nw_vtd_read_name(&r, name, sizeof name);
    nw_vtd_read_decode(&r, decoded, sizeof decoded);
    nw_fault_about(a, "dmar_translation_struct, %s: %s 0x%" PRIx64 ", %s.", where, name, value, decoded);
}

static void about_contexts(const struct nw_dump *d, const struct nw_logged_fault *f, struct nw_fault_account *a)
{
    bool any = false;
    if (!d->contexts || !f->has_device)
        return;
    for (size_t i = 0; i < d->contexts; i++) {
        const struct nw_dump_context *c = &d->context[i];
        if (c->source_id != f->bdf || (f->has_pasid && c->has_pasid && c->pasid != f->pasid))
            continue;
        any = true;
        if (c->has_pasid) {
            for (uint8_t w = 0; w < 3; w++)
                if (w < 2 || c->entry[w])
                    say_word(a, c->unit, NW_VTD_PASID_TABLE_ENTRY, w, c->entry[w]);
        } else {
            say_word(a, c->unit, NW_VTD_CONTEXT_ENTRY, 0, c->context[0]);
            say_word(a, c->unit, NW_VTD_CONTEXT_ENTRY, 1, c->context[1]);
        }
        break;
    }
    if (!any)
        nw_fault_about(a, "dmar_translation_struct has no entry for the device%s: no request of it is translated.",
                       f->has_pasid ? " and PASID" : "");
}

static void about_device_table(const struct nw_dump *d, const struct nw_logged_fault *f, struct nw_fault_account *a)
{
    for (size_t i = 0; i < d->amd.dtes && f->has_device; i++) {
        const struct nw_dump_dte *e = &d->amd.dte[i];
        if (e->device_id != f->bdf || (f->has_segment && e->segment != f->segment))
            continue;
        for (uint8_t w = 0; w < 3; w++) {
            const struct nw_amdvi_read r = {
                .table = NW_AMDVI_DEVICE_ENTRY, .word = w, .readable = true, .value = e->word[w]
            };
            char decoded[256];
            nw_amdvi_read_decode(&r, decoded, sizeof decoded);
            nw_fault_about(a, "devtbl: word %u of the device table entry is 0x%016" PRIx64 ", %s.", w, e->word[w],
                           decoded);
        }
        return;
    }
}

/* The mapping of the device that has the address, and what stands next to it when none has. */
static void about_mappings(const struct nw_dump *d, const struct nw_logged_fault *f, struct nw_fault_account *a)
{
    const struct nw_dump_mapping *in = NULL, *below = NULL, *above = NULL;
    bool any = false;
    for (size_t i = 0; i < d->mappings && f->has_device && f->has_address; i++) {
        const struct nw_dump_mapping *m = &d->mapping[i];
        if (m->source_id != f->bdf || m->has_pasid != f->has_pasid || (f->has_pasid && m->pasid != f->pasid))
            continue;
        any = true;
        if (f->address >= m->iova && f->address - m->iova < m->bytes)
            in = m;
        else if (m->iova > f->address && (!above || m->iova < above->iova))
            above = m;
        else if (m->iova < f->address && (!below || m->iova > below->iova))
            below = m;
    }
    if (in) {
        nw_fault_about(a, "domain_translation_struct maps the address now, to 0x%" PRIx64 ", for %s.",
                       in->target + (f->address - in->iova),
                       in->read && in->write ? "reading and writing"
                       : in->write           ? "writing only"
                                             : "reading only");
        if (f->write ? in->write : in->read)
            nw_fault_first(
                a,
                "The address is mapped with the right that the request needs: the mapping came after the fault, or "
                "the unit had an older one cached.",
                "Take the dump again close to a fault, and compare the two: nestwalk iommu check --earlier.");
        else
            nw_fault_first(
                a,
                "The buffer is mapped for the other direction only: the driver said that the device reads it, and "
                "it writes, or the reverse.",
                "Look at the direction in the driver's dma_map_*() call for this buffer.");
    } else if (any) {
        nw_fault_about(a, "domain_translation_struct does not map the address.");
        if (below)
            nw_fault_about(a, "The mapping below it ends at 0x%" PRIx64 ", %" PRIu64 " bytes before the address.",
                           below->iova + below->bytes - 1, f->address - (below->iova + below->bytes - 1));
        if (above)
            nw_fault_about(a, "The mapping above it begins at 0x%" PRIx64 ", %" PRIu64 " bytes behind the address.",
                           above->iova, above->iova - f->address);
        if (below && f->address - (below->iova + below->bytes) < 0x1000)
            nw_fault_first(
                a, "The device runs over the end of a buffer: the address is on the first page behind a mapping.",
                "Compare the length that the driver gives the device with the one that it maps.");
    }
}

/* ---- regions, memory, interrupts --------------------------------------------------------------------------- */

static void about_memory(const struct nw_dump *d, const struct nw_logged_fault *f, struct nw_fault_account *a)
{
    const struct nw_dump_function *x = function_of(d, f);
    const struct nw_dump_range *inner = NULL;
    if (!f->has_address || f->source == NW_FAULT_VTD_INTERRUPT)
        return;
    for (size_t i = 0; i < d->regions && x && x->has_group; i++)
        if (d->region[i].group == x->group && f->address >= d->region[i].start && f->address <= d->region[i].last)
            nw_fault_about(a,
                           "The device's group has the address in a reserved region of type %s, 0x%" PRIx64
                           " to 0x%" PRIx64 ".",
                           d->region[i].type, d->region[i].start, d->region[i].last);
    for (size_t i = 0; i < d->ranges; i++)
        if (f->address >= d->range[i].start && f->address <= d->range[i].last &&
            (!inner || d->range[i].last - d->range[i].start <= inner->last - inner->start))
            inner = &d->range[i];
    if (!inner)
        return;
    nw_fault_about(a, "As a physical address it would be in \"%s\" of /proc/iomem, 0x%" PRIx64 " to 0x%" PRIx64 ".",
                   inner->what, inner->start, inner->last);
    if (!strcasecmp(inner->what, "Reserved"))
        nw_fault_first(
            a, "The address is memory that the firmware keeps for itself, and no RMRR or IVMD gives it to the device.",
            "Update the firmware; until then keep the device off translation (iommu=pt) if it is trusted.");
}

static void about_interrupt(const struct nw_dump *d, const struct nw_logged_fault *f, struct nw_fault_account *a)
{
    if (f->source != NW_FAULT_VTD_INTERRUPT || !f->has_address || !d->irtes)
        return;
    for (size_t i = 0; i < d->irtes; i++) {
        const struct nw_dump_irte *e = &d->irte[i];
        const uint16_t source = (uint16_t)e->word[1];
        if (e->index != f->address)
            continue;
        nw_fault_about(a, "ir_translation_struct: entry %u of %s is of %02x:%02x.%x, vector 0x%02x%s.", e->index,
                       e->unit, source >> 8, source >> 3 & 31, source & 7, (unsigned)(e->word[0] >> 16 & 0xff),
                       source == f->bdf ? ", the same requester" : ", another requester");
        return;
    }
    nw_fault_about(a, "ir_translation_struct has no present entry with this index.");
}

enum nw_status nw_fault_machine(const struct nw_fault_group *group, const struct nw_dump *dump,
                                struct nw_fault_account *account, struct nw_error *err)
{
    const struct nw_logged_fault *f = &group->fault;
    enum nw_status s = NW_OK;
    about_function(dump, f, account);
    if (group->entries.there && f->source == NW_FAULT_VTD_DMA)
        s = about_entries(group, dump, account, err);
    if (f->source == NW_FAULT_VTD_DMA) {
        about_contexts(dump, f, account);
        about_mappings(dump, f, account);
    } else if (f->source == NW_FAULT_AMD) {
        about_device_table(dump, f, account);
    }
    about_memory(dump, f, account);
    about_interrupt(dump, f, account);
    return s;
}
