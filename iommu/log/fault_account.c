/* What a fault means, what may have led to it, and what to try. */
#include "log_internal.h"
#include <inttypes.h>
#include <nestwalk/iommu/fault_log.h>
#include <nestwalk/iommu/vtd.h>
#include <nestwalk/iommu/vtd_watch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- causes and remedies, by kind of fault ---- */

enum kind {
    NOT_ATTACHED,
    PERMISSION,
    RESERVED,
    TABLES,
    PASIDS,
    INTERRUPT_ENTRY,
    INTERRUPT_SOURCE,
    INTERRUPT_FORMAT,
    REQUEST,
    COMMAND,
    DEVICE_TLB,
    RMP
};

static const struct knowledge {
    const char *cause[5], *action[5];
} knowledge[] = {
    [NOT_ATTACHED] = { { "The device makes DMA although no driver has attached it to a domain: firmware, or the kernel "
                         "before a kexec or crash, left it running.",
                         "Its requests carry another function's number: bridges and some controllers (Marvell "
                         "88SE91xx, JMicron, Ricoh) do that, and need a quirk that names the alias.",
                         "Firmware uses the device for itself (a management controller, USB legacy support) and does "
                         "not say so with an RMRR or IVMD." },
                       { "See whether the device has a driver and an IOMMU group: ls -l "
                         "/sys/bus/pci/devices/*/iommu_group.",
                         "Look for a firmware update, and switch USB legacy support or the management controller's "
                         "shared port off in the firmware.",
                         "If the number is no device of lspci, find the one behind the same bridge that uses it, and "
                         "report it as a DMA alias." } },
    [PERMISSION] = { { "The device uses an address that its driver has unmapped, or never mapped: use after unmap, a "
                       "wrong length, or a descriptor that was not filled in.",
                       FAULT_OTHER_DIRECTION,
                       "The address is memory that firmware gave the device (graphics stolen memory, a management "
                       "controller's buffer), and no RMRR or IVMD covers it.",
                       "The device is passed through to a guest that gave it an address which is not its memory: a BAR "
                       "of another device, or memory that was ballooned away." },
                     { "Compare the address with what the driver maps: boot with iommu.strict=1 so that the fault "
                       "comes at once, and trace iommu:map, iommu:unmap and dma:*.",
                       "Try a newer driver and firmware of the device.",
                       "If the address lies in a range that /proc/iomem calls Reserved, the firmware lacks an RMRR "
                       "(Intel) or IVMD (AMD): update it.",
                       "For a device of the host, iommu=pt takes the check away and hides the fault: to "
                       "find out, not to keep." } },
    [RESERVED] = { { "A table of the domain was overwritten or is being changed without an invalidation.",
                     "The operating system uses a feature that the unit does not have (a large page, snoop control) "
                     "because firmware or a hypervisor told it otherwise." },
                   { "Compare CAP and ECAP (or the extended features) with what the kernel enabled: dmesg | grep -e "
                     "DMAR -e AMD-Vi.",
                     "Walk the tables of a memory image: nestwalk iommu walk names the entry and the bit." } },
    [TABLES] = { { "A table pointer leads to memory that the unit cannot read: freed, hot-removed, or beyond the host "
                   "address width.",
                   "The unit's root table was taken over from another kernel (kexec, kdump) and is gone." },
                 { "Look for messages about translation tables that were copied from a previous kernel.",
                   "Walk the tables of a memory image: nestwalk iommu walk." } },
    [PASIDS] = { { "The process or guest behind the PASID has gone, and the device was not stopped before.",
                   "The device was given a PASID that was never set up for it, or more PASIDs than its directory "
                   "holds." },
                 { "Look for the end of a process with shared virtual addressing before the first of these lines.",
                   "See that the driver drains the device before it lets a PASID go." } },
    [INTERRUPT_ENTRY] = { { "A device sends an interrupt whose remapping entry has been freed: its message was not "
                            "masked, or it kept one from before a kexec or a resume.",
                            "Firmware programmed the device, the I/O APIC or the HPET and the operating system has not "
                            "yet." },
                          { "See whether the lines stop after boot; if they come with suspend or kexec only, it is a "
                            "message that was left on.",
                            "Update the device's driver and firmware." } },
    [INTERRUPT_SOURCE] = { { "The interrupt carries another requester's number than its remapping entry allows: a "
                             "bridge changes it, or the I/O APIC's scope in the DMAR or IVRS table is wrong.",
                             "A device writes to the interrupt range by mistake, or on purpose: that is what source "
                             "validation is for." },
                           { "Compare the number with the I/O APIC and HPET scopes: nestwalk iommu check on the table.",
                             "Find the device, or the bridge in front of it, in lspci -t." } },
    [INTERRUPT_FORMAT] = { { "The device still has an interrupt message in the old format: it was set up before "
                             "remapping was enabled, or by a guest that writes it directly." },
                           { "Let the driver set the device's interrupts up again, or the hypervisor intercept its MSI "
                             "and MSI-X registers." } },
    [REQUEST] = { { "The device sends a kind of request that it was not set up for: translation requests (ATS) or "
                    "translated ones without permission, or to the interrupt range.",
                    "The device is broken, or not the one it says it is." },
                  { "Switch ATS off for it (pci=noats) and see whether the lines stop.",
                    "Do not trust the device before it is understood: this is what a DMA attack looks like." } },
    [COMMAND] = { { "The driver and the unit do not agree about a command: memory corruption, or a driver's error." },
                  { "Report it with the dump of commands that follows the line." } },
    [DEVICE_TLB] = { { "A device with ATS did not answer an invalidation: it was reset, went to sleep or was "
                       "unplugged; after that, it may still use what it has." },
                     { "Switch ATS off for the device (pci=noats), or keep it from sleeping.",
                       "Update its firmware." } },
    [RMP] = { { "A device touched memory of a confidential guest, or a page that was not shared with it (SEV-SNP)." },
              { "See that the guest's buffers are shared, or go through bounce buffers (swiotlb)." } },
};

static enum kind vtd_kind(unsigned reason)
{
    switch (reason) {
    case 0x01:
    case 0x02:
    case 0x39:
    case 0x41: return NOT_ATTACHED;
    case 0x05:
    case 0x06:
    case 0x71:
    case 0x79:
    case 0x81:
    case 0x82:
    case 0x84:
    case 0x85:
    case 0x86:
    case 0x04: return PERMISSION;
    case 0x03:
    case 0x0a:
    case 0x0b:
    case 0x0c:
    case 0x3a:
    case 0x42:
    case 0x43:
    case 0x52:
    case 0x5a:
    case 0x5b:
    case 0x72:
    case 0x7a: return RESERVED;
    case 0x0d:
    case 0x0e:
    case 0x31:
    case 0x32:
    case 0x44:
    case 0x45:
    case 0x47:
    case 0x5c:
    case 0x5d:
    case 0x80:
    case 0x83:
    case 0x87: return REQUEST;
    case 0x46:
    case 0x48:
    case 0x51:
    case 0x59: return PASIDS;
    case 0x22:
    case 0x21: return INTERRUPT_ENTRY;
    case 0x26: return INTERRUPT_SOURCE;
    case 0x20:
    case 0x25: return INTERRUPT_FORMAT;
    default: return TABLES;
    }
}

static const struct {
    enum kind kind;
    const char *meaning;
} amd[NW_AMD_EVENTS] = {
    [NW_AMD_ILLEGAL_DEV_TABLE_ENTRY] = { RESERVED, "The device's entry in the device table has reserved bits set or "
                                                   "does not fit what the unit supports." },
    [NW_AMD_IO_PAGE_FAULT] = { PERMISSION, NULL },
    [NW_AMD_DEV_TAB_HARDWARE_ERROR] = { TABLES, "The unit could not read the device table." },
    [NW_AMD_PAGE_TAB_HARDWARE_ERROR] = { TABLES, "The unit could not read a page table." },
    [NW_AMD_ILLEGAL_COMMAND_ERROR] = { COMMAND, "The unit stopped at a command that it does not know, or that has "
                                                "reserved bits set." },
    [NW_AMD_COMMAND_HARDWARE_ERROR] = { COMMAND, "The unit could not read the command buffer." },
    [NW_AMD_IOTLB_INV_TIMEOUT] = { DEVICE_TLB, "A device did not answer an invalidation of its own TLB in time." },
    [NW_AMD_INVALID_DEVICE_REQUEST] = { REQUEST, "The device sent a request that it is not allowed, or to a reserved "
                                                 "address range." },
    [NW_AMD_INVALID_PPR_REQUEST] = { REQUEST, "The device sent a page request that it is not allowed." },
    [NW_AMD_RMP_PAGE_FAULT] = { RMP, "The reverse map table does not let the device at the page." },
    [NW_AMD_RMP_HW_ERROR] = { RMP, "The unit could not read the reverse map table." },
};

/* ---- texts ---- */

static void name_of(const struct nw_logged_fault *f, char *out, size_t size)
{
    if (!f->has_device)
        snprintf(out, size, "a device");
    else if (f->has_segment)
        snprintf(out, size, "%04x:%02x:%02x.%x", f->segment, f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7);
    else
        snprintf(out, size, "%02x:%02x.%x", f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7);
}

void nw_fault_about(struct nw_fault_account *a, const char *format, ...)
{
    va_list args;
    if (a->abouts == NW_FAULT_TEXTS_MAX)
        return;
    va_start(args, format);
    vsnprintf(a->about[a->abouts++], NW_FAULT_TEXT_MAX, format, args);
    va_end(args);
}

static void put_first(const char *list[NW_FAULT_TEXTS_MAX], size_t *count, const char *text)
{
    size_t at = 0;
    while (at < *count && strcmp(list[at], text) != 0)
        at++;
    if (at == *count && *count < NW_FAULT_TEXTS_MAX) /* else it is there and moves, or the last one makes room */
        ++*count;
    else if (at == *count)
        at--;
    memmove(list + 1, list, at * sizeof *list);
    list[0] = text;
}

void nw_fault_first(struct nw_fault_account *a, const char *cause, const char *action)
{
    put_first(a->cause, &a->causes, cause);
    if (action)
        put_first(a->action, &a->actions, action);
}

static void describe(const struct nw_fault_group *g, struct nw_fault_account *a)
{
    const struct nw_logged_fault *f = &g->fault;
    char device[24], text[160];
    name_of(f, device, sizeof device);
    if (f->source == NW_FAULT_AMD) {
        const bool fault = f->reason == NW_AMD_IO_PAGE_FAULT;
        snprintf(text, sizeof text, "%s", nw_amd_event_name[f->reason]);
        if (!fault)
            snprintf(a->meaning, sizeof a->meaning, "%s", amd[f->reason].meaning);
        else if (f->flags & NW_AMD_FLAG_I)
            snprintf(a->meaning, sizeof a->meaning, "An interrupt of the device was refused by its remapping table.");
        else
            snprintf(a->meaning, sizeof a->meaning, "The device %s %s, and the page %s.",
                     f->flags & NW_AMD_FLAG_TR ? "asked for a translation for" : "made",
                     f->flags & NW_AMD_FLAG_RW ? "a write" : "a read",
                     f->flags & NW_AMD_FLAG_RZ   ? "has an entry with reserved bits set on its way"
                     : f->flags & NW_AMD_FLAG_PR ? "is mapped without that permission"
                                                 : "is not mapped");
        snprintf(a->title, sizeof a->title, "%s of %s", text, device);
        if (f->has_address)
            snprintf(a->title + strlen(a->title), sizeof a->title - strlen(a->title), " at 0x%" PRIx64, f->address);
        return;
    }
    const char *known = nw_vtd_fault_text(f->reason);
    const bool interrupt = f->source == NW_FAULT_VTD_INTERRUPT;
    snprintf(a->title, sizeof a->title, "%s of %s",
             interrupt  ? "interrupt"
             : f->write ? "DMA write"
                        : "DMA read",
             device);
    if (f->has_address)
        snprintf(a->title + strlen(a->title), sizeof a->title - strlen(a->title),
                 interrupt ? ", index %" PRIu64 : " at 0x%" PRIx64, f->address);
    snprintf(a->meaning, sizeof a->meaning, "Fault reason 0x%02x: %s.", f->reason,
             known ? known : "none that the architecture names");
}

/* ---- what addresses tell ---- */

static void about_address(const struct nw_fault_group *g, struct nw_fault_account *a)
{
    const struct nw_logged_fault *f = &g->fault;
    if (!f->has_address || f->source == NW_FAULT_VTD_INTERRUPT)
        return;
    if (g->count > 1 && g->lowest != g->highest)
        nw_fault_about(a, "%" PRIu64 " such faults, at addresses from 0x%" PRIx64 " to 0x%" PRIx64 ".", g->count,
                       g->lowest, g->highest);
    else if (g->count > 1)
        nw_fault_about(a, "%" PRIu64 " such faults, all at this address.", g->count);
    if (f->address < 0x1000)
        nw_fault_about(
            a, "The address lies in the first page: a descriptor or a base register of the device that was never "
               "written.");
    else if (f->address < 0x100000)
        nw_fault_about(a, "The address lies below 1 MiB: memory of the firmware.");
    else if (f->address >> 20 == 0xfee)
        nw_fault_about(
            a,
            "The address lies in the interrupt range: the device meant an interrupt, and wrote it as data or read it.");
    else if (f->address >> 48)
        nw_fault_about(
            a, "The address has more than 48 bits: no allocator of DMA addresses gives such a one out; the device's "
               "descriptor is corrupt.");
    else if (f->address >> 32 == 0 && f->address >= 0xff000000)
        nw_fault_about(
            a, "The address lies just below 4 GiB: where Linux gives out DMA addresses first. The driver had it "
               "mapped once, most likely.");
}

/* ---- what the firmware's tables tell ---- */

/* The device that a scope names, when it does so without bridges in between. */
static bool scope_is(const struct nw_dmar_scope *s, uint16_t bdf)
{
    return (s->type == NW_DMAR_SCOPE_ENDPOINT || s->type == NW_DMAR_SCOPE_BRIDGE) && s->hops == 1 &&
           s->start_bus == bdf >> 8 && s->path[0] == (bdf >> 3 & 31) && s->path[1] == (bdf & 7);
}

static void about_dmar(const struct nw_logged_fault *f, const struct nw_dmar *dmar, struct nw_fault_account *a)
{
    bool covered = false, named = false;
    for (size_t i = 0; i < dmar->structures; i++) {
        const struct nw_dmar_structure *s = &dmar->structure[i];
        bool device = false, nested = false;
        for (size_t j = s->first_scope; j < s->first_scope + s->scopes; j++) {
            device |= scope_is(&dmar->scope[j], f->bdf);
            nested |= dmar->scope[j].hops > 1 || dmar->scope[j].type == NW_DMAR_SCOPE_BRIDGE;
        }
        if (s->type == NW_DMAR_RMRR && f->has_address && f->source == NW_FAULT_VTD_DMA && f->address >= s->base &&
            f->address <= s->limit) {
            covered = true;
            nw_fault_about(
                a, "The firmware's table has the address in an RMRR, 0x%" PRIx64 " to 0x%" PRIx64 ", %s.", s->base,
                s->limit,
                device   ? "for this device: it should have been mapped one to one before the device was attached"
                : nested ? "for devices behind bridges: whether this is one of them depends on the bus numbers"
                         : "but for other devices: the firmware forgot this one, or its requests carry another number");
        }
        if (s->type == NW_DMAR_DRHD && device && f->has_device) {
            named = true;
            nw_fault_about(a, "The firmware's table puts the device under the unit at 0x%" PRIx64 ".", s->base);
        }
    }
    for (size_t i = 0; i < dmar->structures && f->has_device && !named; i++)
        if (dmar->structure[i].type == NW_DMAR_DRHD && dmar->structure[i].flags & NW_DRHD_INCLUDE_PCI_ALL &&
            (!f->has_segment || dmar->structure[i].segment == f->segment)) {
            nw_fault_about(a,
                           "The firmware's table names the device nowhere: it is under the unit at 0x%" PRIx64
                           ", which has all that no other has.",
                           dmar->structure[i].base);
            named = true;
        }
    if (f->has_address && f->source == NW_FAULT_VTD_DMA && !covered)
        nw_fault_about(a, "No RMRR of the firmware's table covers the address.");
}

static void about_ivrs(const struct nw_logged_fault *f, const struct nw_ivrs *ivrs, struct nw_fault_account *a)
{
    bool covered = false;
    for (size_t i = 0; i < ivrs->blocks; i++) {
        const struct nw_ivrs_block *b = &ivrs->block[i];
        if (!nw_ivrs_is_ivmd(b->type) || !f->has_address || f->address < b->base || f->address - b->base >= b->bytes)
            continue;
        covered = true;
        const bool device = b->type == NW_IVMD_ALL ||
                            (b->type == NW_IVMD_ONE ? b->device == f->bdf : f->bdf >= b->device && f->bdf <= b->aux);
        nw_fault_about(
            a, "The firmware's table has the address in an IVMD block, 0x%" PRIx64 " and %" PRIu64 " bytes, %s.",
            b->base, b->bytes,
            device ? "for this device: it should have been mapped one to one" : "but for other devices");
    }
    if (f->has_address && !covered)
        nw_fault_about(a, "No IVMD block of the firmware's table covers the address.");
}

enum nw_status nw_fault_account(const struct nw_fault_group *group, const struct nw_acpi_table *tables, size_t count,
                                struct nw_fault_account *out, struct nw_error *err)
{
    const struct nw_logged_fault *f = &group->fault;
    *out = (struct nw_fault_account){ .abouts = 0 };
    describe(group, out);
    about_address(group, out);
    for (size_t i = 0; i < count; i++) {
        if (tables[i].kind == NW_ACPI_DMAR && f->source != NW_FAULT_AMD) {
            struct nw_dmar dmar;
            enum nw_status s = nw_dmar_decode(&tables[i], &dmar, err);
            if (s)
                return s;
            about_dmar(f, &dmar, out);
            nw_dmar_fini(&dmar);
        } else if (tables[i].kind == NW_ACPI_IVRS && f->source == NW_FAULT_AMD) {
            struct nw_ivrs ivrs;
            enum nw_status s = nw_ivrs_decode(&tables[i], &ivrs, err);
            if (s)
                return s;
            about_ivrs(f, &ivrs, out);
            nw_ivrs_fini(&ivrs);
        }
    }
    const enum kind kind = f->source != NW_FAULT_AMD                                         ? vtd_kind(f->reason)
                           : f->reason == NW_AMD_IO_PAGE_FAULT && (f->flags & NW_AMD_FLAG_I) ? INTERRUPT_ENTRY
                                                                                             : amd[f->reason].kind;
    const struct knowledge *k = &knowledge[kind];
    for (size_t i = 0; i < NW_ARRAY_LEN(k->cause) && k->cause[i]; i++)
        out->cause[out->causes++] = k->cause[i];
    for (size_t i = 0; i < NW_ARRAY_LEN(k->action) && k->action[i]; i++)
        out->action[out->actions++] = k->action[i];
    const char *remedy = f->source == NW_FAULT_AMD ? NULL : nw_vtd_fault_remedy(f->reason);
    if (remedy && out->actions < NW_FAULT_TEXTS_MAX)
        out->action[out->actions++] = remedy;
    return NW_OK;
}
