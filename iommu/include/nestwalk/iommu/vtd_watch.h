/* vtd_watch.h - what a translation reads: each word of a table in order, as a list and as text.
 *
 *     struct nw_vtd_watch watch = { 0 };
 *     tables.watch = &watch;
 *     nw_vtd_translate(&tables, &request, &result);
 *     for (unsigned i = 0; i < watch.count; i++) ... watch.read[i]      // watch.count == result.references
 *     if (result.fault.reason) ... nw_vtd_fault_text(), nw_vtd_fault_remedy()
 *
 * Without a watcher nothing is kept. Interrupt requests are not watched.
 *
 * Source of the fields: Intel VT-d architecture specification, chapter "Translation Structure Formats". */
#ifndef NESTWALK_IOMMU_VTD_WATCH_H
#define NESTWALK_IOMMU_VTD_WATCH_H

#include <nestwalk/iommu/vtd.h>

enum nw_vtd_table {
    NW_VTD_ROOT_ENTRY,
    NW_VTD_CONTEXT_ENTRY,
    NW_VTD_SCALABLE_ROOT_ENTRY, /* one half of it */
    NW_VTD_SCALABLE_CONTEXT_ENTRY,
    NW_VTD_PASID_DIRECTORY_ENTRY,
    NW_VTD_PASID_TABLE_ENTRY,
    NW_VTD_FIRST_STAGE_ENTRY,
    NW_VTD_SECOND_STAGE_ENTRY,
    NW_VTD_TABLES
};

struct nw_vtd_read {
    enum nw_vtd_table table;
    uint8_t word;     /* which 64-bit word of the entry, from 0 */
    uint8_t level;    /* of a paging entry, 1: it maps 4 KiB pages; 0 for the others */
    bool readable;    /* false: there is no memory; `value` is 0 */
    uint64_t address; /* host-physical, of the word */
    uint64_t value;   /* as read: before the request set flags in it */
};

/* 1 root, 4 context, 1 directory, 8 PASID-table words and the longest nested walk. */
enum { NW_VTD_READS_MAX = 64 };

struct nw_vtd_watch {
    /* NULL allowed. Called before a word is read: memory may be filled in now. */
    void (*need)(void *context, uint64_t address);
    void *context;
    unsigned count; /* the caller sets it to 0; words beyond NW_VTD_READS_MAX are counted and not kept */
    struct nw_vtd_read read[NW_VTD_READS_MAX];
};

/* "context entry, word 1"; "second-stage entry, level 4" */
void nw_vtd_read_name(const struct nw_vtd_read *r, char *out, size_t out_size);
/* The fields that matter: "present, TT 0 (untranslated requests), second stage at 0x1000"; "not present". */
void nw_vtd_read_decode(const struct nw_vtd_read *r, char *out, size_t out_size);
/* What to change so that the fault goes away, one sentence; NULL for a number that is no fault reason. */
const char *nw_vtd_fault_remedy(unsigned reason);

#endif
