/* intent.h - what should hold of a machine's devices and memory: whose they are, and which addresses a device may use.
 *
 *     struct nw_intent in;
 *     if ((s = nw_intent_load("intent.xml", &in, err))) return s;      // nestwalk/scenarios/intent.h: it is an XML file
 *     int d = nw_intent_device_of(&in, 0, 0x0300, false, 0);           // 03:00.0
 *     ... d < 0 ? in.others : in.owner[in.device[d].owner].kind
 *     nw_intent_fini(&in);
 *
 * An *owner* is a guest, the hypervisor, the remapping units' tables, or nobody (devices that must be blocked). Memory has one owner at
 * most, and may be *shared* with others as well. A *window* is a range of I/O virtual addresses that a device may use. docs/iommu-intent.md
 * says what each of them means for the proof (proof.h). */
#ifndef NESTWALK_IOMMU_INTENT_H
#define NESTWALK_IOMMU_INTENT_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nw_intent_kind {
    NW_INTENT_GUEST,
    NW_INTENT_HYPERVISOR,
    NW_INTENT_BLOCKED,   /* devices that may reach nothing */
    NW_INTENT_TABLES,    /* memory that no device may write */
    NW_INTENT_UNCHECKED, /* of devices that are not named: they may reach all */
    NW_INTENT_KINDS
};

struct nw_intent_owner {
    char *name; /* "a", "hypervisor", "blocked", "tables" */
    enum nw_intent_kind kind;
    bool has_memory; /* false, of a guest: its memory is not known; it may be what nobody else owns */
};
struct nw_intent_device {
    uint16_t segment, first, last; /* source ids */
    bool has_pasid;                /* requests with this PASID alone; false: all that no other row names */
    uint32_t pasid;
    int owner;
    unsigned line;
};
/* Whole pages of host-physical memory. */
struct nw_intent_memory {
    uint64_t start, end; /* [start, end) */
    unsigned rights;     /* set of enum nw_reach_rights */
    int owner;           /* of a shared range: one of those that it is shared with */
    unsigned line;
};
struct nw_intent_window {
    uint64_t first, last; /* whole pages of I/O virtual addresses */
    unsigned rights;
    bool has_target, required;
    uint64_t target;   /* memory that `first` leads to */
    int owner, device; /* device -1: of all devices of the owner */
    unsigned line;
};
struct nw_intent {
    char *file, *name;
    enum nw_intent_kind others; /* devices that are not named */
    struct nw_intent_owner *owner;
    struct nw_intent_device *device;
    struct nw_intent_memory *memory; /* in rising order; none overlaps another */
    struct nw_intent_memory *shared; /* may overlap */
    struct nw_intent_window *window;
    size_t owners, devices, memories, shareds, windows;
};

/* The row that a request belongs to: one that names its PASID goes before one that names the device. -1: there is none. */
int nw_intent_device_of(const struct nw_intent *in, uint16_t segment, uint16_t source_id, bool has_pasid,
                        uint32_t pasid);
/* "guest a", "the hypervisor", "the units' tables", "nobody"; owner -1: of devices that are not named. */
void nw_intent_owner_text(const struct nw_intent *in, int owner, char *out, size_t out_size);
void nw_intent_fini(struct nw_intent *in);

#endif
