/* PCI functions: what texts say of one is put together; configuration space. Sources: PCI Local Bus 3.0, "Configuration Space Organization";
 * PCI Express Base, "PCI Express Extended Capabilities" and the chapter of each capability; the numbers as in Linux, pci_regs.h. */
#include "function.h"
#include <nestwalk/base/bits.h>

struct nw_dump_function *nw_function_at(struct reader *r, uint16_t segment, uint16_t bdf)
{
    struct nw_dump *d = r->d;
    for (size_t i = d->functions; i-- > 0;)
        if (d->function[i].segment == segment && d->function[i].bdf == bdf)
            return &d->function[i];
    struct nw_dump_function *f = nw_reader_grow(&d->function, &d->functions, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct nw_dump_function){
        .segment = segment, .bdf = bdf, .express = NW_EXPRESS_NONE, .place = nw_reader_place(r)
    };
    for (size_t i = 0; i + 1 < d->functions; i++) {
        struct nw_dump_function *g = &d->function[i];
        if (g->segment == segment && (g->bdf ^ bdf) < 8)
            g->multifunction = f->multifunction = true;
    }
    return f;
}

void nw_function_set_class(struct nw_dump_function *f, uint32_t class_code)
{
    const uint32_t class = class_code >> 8;
    f->has_class = true;
    f->class_code = class_code;
    f->bridge |= class >= 0x0600 && class <= 0x060f && class != 0x0680;
}

void nw_function_set_express(struct nw_dump_function *f, enum nw_express_type type)
{
    f->express = type;
    f->has_capabilities = true;
    f->pcie_port = type == NW_EXPRESS_ROOT_PORT || type == NW_EXPRESS_DOWNSTREAM_PORT;
}

void nw_function_set_acs(struct nw_dump_function *f, uint8_t control)
{
    const uint8_t isolating =
        NW_ACS_SOURCE_VALIDATION | NW_ACS_REQUEST_REDIRECT | NW_ACS_COMPLETION_REDIRECT | NW_ACS_UPSTREAM_FORWARDING;
    f->has_acs = true;
    f->acs_control = control;
    f->acs_isolates = (control & isolating) == isolating;
}

/* ---- configuration space -------------------------------------------------------------------------- */

enum { CAPABILITY_EXPRESS = 0x10, CAPABILITIES_MAX = 48, EXTENDED_MAX = 480 };
enum { EXTENDED_ACS = 0x0d, EXTENDED_ATS = 0x0f, EXTENDED_SRIOV = 0x10, EXTENDED_PRI = 0x13, EXTENDED_PASID = 0x1b };
enum { STATUS_CAPABILITIES = 0x10, COMMAND_BUS_MASTER = 4, HEADER_BRIDGE = 1 };

static void read_extended(struct nw_dump_function *f, unsigned id, const uint8_t *p, size_t left)
{
    if (id == EXTENDED_ACS && left >= 8)
        nw_function_set_acs(f, p[6]);
    if (id == EXTENDED_ATS && left >= 8) {
        f->has_ats = true;
        f->ats_on = get16(p + 6) & NW_BIT(15);
    }
    if (id == EXTENDED_SRIOV && left >= 0x18 && (get16(p + 8) & 1)) {
        f->vfs = get16(p + 0x10);
        f->vf_offset = get16(p + 0x14);
        f->vf_stride = get16(p + 0x16);
    }
    if (id == EXTENDED_PRI && left >= 16) {
        f->has_pri = true;
        f->pri_on = get16(p + 4) & 1;
        f->pri_response_pasid = get16(p + 6) & NW_BIT(15);
        f->pri_credits = get32(p + 12);
    }
    if (id == EXTENDED_PASID && left >= 8)
        f->pasid_on = get16(p + 6) & 1;
}

void nw_function_read_config(struct nw_dump_function *f, const uint8_t *bytes, size_t size)
{
    if (size < NW_CONFIG_HEADER_BYTES)
        return;
    f->vendor = get16(bytes);
    f->device = get16(bytes + 2);
    f->has_command = true;
    f->bus_master = get16(bytes + 4) & COMMAND_BUS_MASTER;
    nw_function_set_class(f, get32(bytes + 8) >> 8);
    if ((bytes[0x0e] & 0x7f) == HEADER_BRIDGE) {
        f->has_buses = true;
        f->secondary = bytes[0x19];
        f->subordinate = bytes[0x1a];
    }
    unsigned at = get16(bytes + 6) & STATUS_CAPABILITIES ? bytes[0x34] & ~3u : 0;
    for (unsigned n = 0; at >= NW_CONFIG_HEADER_BYTES && at + 4u <= size && n < CAPABILITIES_MAX; n++) {
        if (bytes[at] == CAPABILITY_EXPRESS)
            nw_function_set_express(f, (enum nw_express_type)(get16(bytes + at + 2) >> 4 & 15));
        at = bytes[at + 1] & ~3u;
    }
    f->has_capabilities |= size >= NW_CONFIG_BYTES;
    if (size < NW_CONFIG_EXTENDED_BYTES)
        return;
    f->has_extended = true;
    at = NW_CONFIG_BYTES;
    for (unsigned n = 0; at >= NW_CONFIG_BYTES && at + 4u <= size && n < EXTENDED_MAX; n++) {
        const uint32_t header = get32(bytes + at);
        if (!header || header == UINT32_MAX)
            break;
        read_extended(f, header & 0xffff, bytes + at, size - at);
        at = header >> 20 & ~3u;
    }
}
