/* Interrupt requests: VT-d, "Interrupt Remapping" and "Interrupt Posting". */
#include "interrupt.h"
#include "cache.h"

/* ---- the request: "Interrupt Requests in Compatibility Format", "... in Remappable Format" ------ */

#define MSI_REMAPPABLE NW_BIT(4)
#define MSI_SHV        NW_BIT(3) /* the data's low half is a subhandle */

static uint32_t index_of(const struct nw_vtd_interrupt_request *q)
{
    uint32_t handle = (uint32_t)(nw_field(q->address, 19, 5) | nw_field(q->address, 2, 2) << 15);
    return q->address & MSI_SHV ? handle + (q->data & 0xffff) : handle;
}

/* A message of the form that it had before remapping existed (SDM vol. 3, "Message Signalled Interrupts"). */
static void compatible(const struct nw_vtd_interrupt_request *q, struct nw_vtd_interrupt *out)
{
    out->form = NW_VTD_COMPATIBLE;
    out->notifies = true;
    out->destination = (uint32_t)nw_field(q->address, 19, 12);
    out->redirection_hint = q->address & NW_BIT(3);
    out->logical = q->address & NW_BIT(2);
    out->vector = (uint8_t)q->data;
    out->delivery_mode = (uint8_t)nw_field(q->data, 10, 8);
    out->level = q->data & NW_BIT(15);
}

/* ---- the entry: "Interrupt Remapping Table Entry (IRTE) for Remapped / Posted Interrupts" ------- */

#define IRTE_P       NW_BIT(0)
#define IRTE_FPD     NW_BIT(1)
#define IRTE_POSTED  NW_BIT(15) /* IM */
#define IRTE_SID(w1) ((uint16_t)nw_field(w1, 15, 0))
#define IRTE_SQ(w1)  ((unsigned)nw_field(w1, 17, 16))
#define IRTE_SVT(w1) ((unsigned)nw_field(w1, 19, 18))
enum { SVT_NONE, SVT_SOURCE_ID, SVT_BUS_RANGE, SVT_RESERVED };

static bool reserved_set(const struct nw_vtd_tables *t, const uint64_t word[2])
{
    const bool eime = t->irta & NW_BIT(11), posting = t->unit.cap & NW_VTD_CAP_PI;
    if (IRTE_SVT(word[1]) == SVT_RESERVED)
        return true;
    if (posting && (word[0] & IRTE_POSTED))
        return (word[0] & (nw_mask(7, 2) | nw_mask(13, 12) | nw_mask(37, 24))) || (word[1] & nw_mask(31, 20));
    /* The 8 bits of an xAPIC destination stand in 47:40. Delivery modes 3 and 6 do not exist. */
    unsigned mode = (unsigned)nw_field(word[0], 7, 5);
    return (word[0] & (nw_mask(14, 12) | IRTE_POSTED | nw_mask(31, 24))) ||
           (!eime && (word[0] & (nw_mask(39, 32) | nw_mask(63, 48)))) || (word[1] & nw_mask(63, 20)) || mode == 3 ||
           mode == 6;
}

static bool source_allowed(uint16_t source_id, uint64_t word_1)
{
    static const uint16_t ignored[4] = { 0, 4, 6, 7 }; /* SQ: function-number bits that are not compared */
    uint16_t sid = IRTE_SID(word_1);
    switch (IRTE_SVT(word_1)) {
    case SVT_SOURCE_ID: return !((source_id ^ sid) & (uint16_t)~ignored[IRTE_SQ(word_1)]);
    case SVT_BUS_RANGE: return source_id >> 8 >= sid >> 8 && source_id >> 8 <= (sid & 255);
    default: return true;
    }
}

static void remapped(const struct nw_vtd_tables *t, const uint64_t word[2], struct nw_vtd_interrupt *out)
{
    const bool eime = t->irta & NW_BIT(11);
    out->form = NW_VTD_REMAPPED;
    out->notifies = true;
    out->logical = word[0] & NW_BIT(2);
    out->redirection_hint = word[0] & NW_BIT(3);
    out->level = word[0] & NW_BIT(4);
    out->delivery_mode = (uint8_t)nw_field(word[0], 7, 5);
    out->vector = (uint8_t)nw_field(word[0], 23, 16);
    out->destination = (uint32_t)(eime ? nw_field(word[0], 63, 32) : nw_field(word[0], 47, 40));
}

/* ---- posting: "Posted Interrupt Descriptor" ----------------------------------------------------- */

#define PID_ON NW_BIT(0) /* of word 4: a notification is outstanding */
#define PID_SN NW_BIT(1) /* non-urgent ones are suppressed */

/* The interrupt is noted in the descriptor, and announced unless an announcement is outstanding or suppressed. */
static unsigned post(const struct nw_vtd_tables *t, const uint64_t word[2], struct nw_vtd_interrupt *out)
{
    struct vtd_walk w;
    vtd_walk_init(&w, t, NULL);
    uint64_t control, unused;
    out->form = NW_VTD_POSTED;
    out->posted_vector = (uint8_t)nw_field(word[0], 23, 16);
    out->urgent = word[0] & NW_BIT(14);
    out->descriptor = nw_vtd_posted_descriptor(word);
    uint64_t slot = out->descriptor + 8 * (out->posted_vector >> 6);
    if (!vtd_load(&w, out->descriptor + 32, &control) || !vtd_load(&w, slot, &unused))
        return 0x27;
    if ((control & (nw_mask(15, 2) | nw_mask(31, 24))) ||
        (!(t->irta & NW_BIT(11)) && (control & (nw_mask(39, 32) | nw_mask(63, 48)))))
        return 0x28;
    out->vector = (uint8_t)nw_field(control, 23, 16);
    out->destination = (uint32_t)(t->irta & NW_BIT(11) ? nw_field(control, 63, 32) : nw_field(control, 47, 40));
    out->notifies = !(control & PID_ON) && (out->urgent || !(control & PID_SN));
    if (nw_physmem_write64(t->memory.pm, nw_hpa(slot), unused | NW_BIT(out->posted_vector & 63), NULL) ||
        (out->notifies && nw_physmem_write64(t->memory.pm, nw_hpa(out->descriptor + 32), control | PID_ON, NULL)))
        return 0x27; /* the simulated memory ran out */
    return 0;
}

/* ---- one request -------------------------------------------------------------------------------- */

static unsigned read_entry(const struct nw_vtd_tables *t, struct vtd_caches *caches, uint32_t index, uint64_t word[2])
{
    if (vtd_iec_lookup(caches, index, word))
        return 0;
    struct vtd_walk w;
    vtd_walk_init(&w, t, NULL);
    uint64_t at = (t->irta & nw_mask(63, 12)) + (uint64_t)index * 16;
    return vtd_load(&w, at, &word[0]) && vtd_load(&w, at + 8, &word[1]) ? 0 : 0x23;
}

static bool refuse(struct nw_vtd_interrupt *out, unsigned reason, bool fpd)
{
    out->fault.reason = (uint8_t)reason;
    out->fault.recorded = !(fpd && nw_vtd_fault_qualified(reason));
    return false;
}

static bool remap(const struct nw_vtd_tables *t, struct vtd_caches *caches, const struct nw_vtd_interrupt_request *q,
                  struct nw_vtd_interrupt *out)
{
    uint64_t word[2];
    uint32_t index = index_of(q);
    out->fault.address = index;
    if ((q->address & MSI_SHV) && q->data >> 16)
        return refuse(out, 0x20, false);
    if (index >> (nw_field(t->irta, 3, 0) + 1))
        return refuse(out, 0x21, false);
    unsigned reason = read_entry(t, caches, index, word);
    if (reason)
        return refuse(out, reason, false);
    bool fpd = word[0] & IRTE_FPD;
    if (!(word[0] & IRTE_P))
        return refuse(out, 0x22, fpd);
    if (reserved_set(t, word))
        return refuse(out, 0x24, fpd);
    vtd_iec_fill(caches, index, word);
    if (!source_allowed(q->source_id, word[1]))
        return refuse(out, 0x26, fpd);
    if (!(word[0] & IRTE_POSTED)) {
        remapped(t, word, out);
        return true;
    }
    reason = post(t, word, out);
    return !reason || refuse(out, reason, fpd);
}

void vtd_interrupt(const struct nw_vtd_tables *t, struct vtd_caches *caches, const struct nw_vtd_interrupt_request *q,
                   struct nw_vtd_interrupt *out)
{
    *out = (struct nw_vtd_interrupt){ .fault = { .level = -1 } };
    if (q->address & MSI_REMAPPABLE)
        remap(t, caches, q, out);
    else if (t->compatible_format && !(t->irta & NW_BIT(11))) /* never with 32-bit destinations (EIME) */
        compatible(q, out);
    else
        refuse(out, 0x25, false);
}

void vtd_interrupt_compatible(const struct nw_vtd_interrupt_request *q, struct nw_vtd_interrupt *out)
{
    *out = (struct nw_vtd_interrupt){ .fault = { .level = -1 } };
    compatible(q, out);
}

void nw_vtd_interrupt(const struct nw_vtd_tables *t, const struct nw_vtd_interrupt_request *q,
                      struct nw_vtd_interrupt *out)
{
    vtd_interrupt(t, NULL, q, out);
}
