/* amdvi_watch.h - what a translation by an AMD IOMMU reads: each word of a table in order, as a list and as text; and its events as
 * sentences.
 *
 *     struct nw_amdvi_watch watch = { 0 };
 *     tables.watch = &watch;
 *     nw_amdvi_translate(&tables, &request, &result);
 *     for (unsigned i = 0; i < watch.count; i++) ... watch.read[i]      // watch.count == result.references
 *     if (result.event.code) ... nw_amdvi_event_text(), nw_amdvi_event_remedy()
 *
 * Without a watcher nothing is kept. Interrupt requests are told of their device table entry and interrupt entry.
 *
 * Source of the fields: AMD IOMMU specification, "Device Table Entry Format", "I/O Page Tables for Host Translations", "Guest CR3
 * Table". */
#ifndef NESTWALK_IOMMU_AMDVI_WATCH_H
#define NESTWALK_IOMMU_AMDVI_WATCH_H

#include <nestwalk/iommu/amdvi.h>

enum nw_amdvi_table {
    NW_AMDVI_DEVICE_ENTRY,
    NW_AMDVI_GCR3_ENTRY,
    NW_AMDVI_GUEST_ENTRY,
    NW_AMDVI_HOST_ENTRY,
    NW_AMDVI_INTERRUPT_ENTRY,
    NW_AMDVI_TABLES
};

struct nw_amdvi_read {
    enum nw_amdvi_table table;
    uint8_t word;     /* which 64-bit word of a device table or interrupt entry, from 0 */
    uint8_t level;    /* of the other entries, 1: host and guest entries map 4 KiB pages */
    bool readable;    /* false: there is no memory; `value` is 0 */
    uint64_t address; /* system-physical, of the word */
    uint64_t value;   /* as read: before the request set flags in it */
};

/* 4 words, three levels of GCR3 tables and five of guest tables, each behind six of the host's, and the page. */
enum { NW_AMDVI_READS_MAX = 96 };

struct nw_amdvi_watch {
    /* NULL allowed. Called before a word is read: memory may be filled in now. */
    void (*need)(void *context, uint64_t address);
    void *context;
    unsigned count; /* the caller sets it to 0; words beyond NW_AMDVI_READS_MAX are counted and not kept */
    struct nw_amdvi_read read[NW_AMDVI_READS_MAX];
};

/* "device table entry, word 1"; "host entry, level 4" */
void nw_amdvi_read_name(const struct nw_amdvi_read *r, char *out, size_t out_size);
/* The fields that matter: "V, TV, mode 4, host tables at 0x1000, IR, IW"; "not present". */
void nw_amdvi_read_decode(const struct nw_amdvi_read *r, char *out, size_t out_size);
/* What an event means, and what to change so that it goes away, one sentence each, by code and flags; NULL when there is none. */
const char *nw_amdvi_event_text(const struct nw_amdvi_event *e);
const char *nw_amdvi_event_remedy(const struct nw_amdvi_event *e);

#endif
