/* procfs.h - what Linux tells of another process's pages: Documentation/filesystems/proc.rst ("/proc/PID/maps", "smaps", "clear_refs"),
 * Documentation/admin-guide/mm/pagemap.rst, idle_page_tracking.rst. The decoders are free of the system; tests feed them recorded bytes. */
#ifndef NESTWALK_WORKINGSET_PROCFS_H
#define NESTWALK_WORKINGSET_PROCFS_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct ws_mapping {
    uint64_t start, end;
    bool writable;
    char name[128]; /* "" for anonymous memory */
};
/* A line of maps, or the first line of a mapping in smaps; false for any other. */
bool ws_mapping_parse(const char *line, struct ws_mapping *out);
/* "Referenced:   12 kB" of smaps, with `field` "Referenced": bytes; false for any other line. */
bool ws_field_parse(const char *line, const char *field, uint64_t *bytes);

/* An entry of pagemap. */
enum {
    WS_PAGEMAP_SOFT_DIRTY_BIT = 55,
    WS_PAGEMAP_SWAPPED_BIT = 62,
    WS_PAGEMAP_PRESENT_BIT = 63,
};
#define WS_PAGEMAP_PFN ((UINT64_C(1) << 55) - 1)
static inline bool ws_page_present(uint64_t entry) { return entry >> WS_PAGEMAP_PRESENT_BIT & 1; }
static inline bool ws_page_swapped(uint64_t entry) { return entry >> WS_PAGEMAP_SWAPPED_BIT & 1; }
static inline bool ws_page_soft_dirty(uint64_t entry) { return entry >> WS_PAGEMAP_SOFT_DIRTY_BIT & 1; }
/* 0: not present, or hidden from who reads without CAP_SYS_ADMIN. */
static inline uint64_t ws_page_pfn(uint64_t entry) { return ws_page_present(entry) ? entry & WS_PAGEMAP_PFN : 0; }

/* Bits of kpageflags. */
enum {
    WS_KPF_REFERENCED = 1 << 2,
    WS_KPF_ACTIVE = 1 << 6,
    WS_KPF_COMPOUND_HEAD = 1 << 15,
    WS_KPF_COMPOUND_TAIL = 1 << 16,
    WS_KPF_HUGE = 1 << 17,
};
/* Whether these flags say that the page was accessed since they were `before`, with REFERENCED cleared in between. The first access
 * sets REFERENCED; a second one on the inactive list makes the page active and clears it again (Linux, mm/swap.c, folio_mark_accessed()). */
static inline bool ws_flags_accessed(uint64_t before, uint64_t now)
{
    return (now & WS_KPF_REFERENCED) || ((now & WS_KPF_ACTIVE) && !(before & WS_KPF_ACTIVE));
}

/* A process, seen through an open procfs. */
struct ws_process {
    char directory[256]; /* "/proc/4711" */
    char proc[224];
    uint64_t pid;
    int pagemap, kpageflags; /* -1: not open */
    int memory;              /* -1: not open; ws_process_open_memory() */
};
/* NW_ERR_USAGE: no such process; NW_ERR_ENV: not ours to look at. ws_process_close is right after success and failure. */
enum nw_status ws_process_open(struct ws_process *p, const char *proc, uint64_t pid, struct nw_error *err) NW_MUST_USE;
/* For ws_process_page(). False: refused, errno says why. */
bool ws_process_open_memory(struct ws_process *p);
/* The 4096 bytes at `address`; false when they cannot be read. */
bool ws_process_page(const struct ws_process *p, uint64_t address, void *out);
void ws_process_close(struct ws_process *p);
bool ws_process_alive(const struct ws_process *p);
/* Its name; "" when it has none. */
void ws_process_name(const struct ws_process *p, char *out, size_t size);
/* Whether it holds a KVM virtual machine. */
bool ws_process_has_kvm(const struct ws_process *p);
/* free() *out. */
enum nw_status ws_process_mappings(const struct ws_process *p, struct ws_mapping **out, size_t *count,
                                   struct nw_error *err) NW_MUST_USE;
/* One digit to clear_refs. False: refused, errno says why. */
bool ws_process_clear(const struct ws_process *p, char what);
/* Entries of pagemap for `pages` pages from this address on. *got: how many there are, 0 when the process is gone. */
enum nw_status ws_process_pagemap(const struct ws_process *p, uint64_t address, uint64_t *entry, size_t pages,
                                  size_t *got, struct nw_error *err) NW_MUST_USE;
/* The sum of a field of smaps over the mappings that lie in one of these (sorted); 0 when the process is gone. */
uint64_t ws_process_sum(const struct ws_process *p, const char *field, const struct ws_mapping *range, size_t ranges);

/* 64-bit words of a file that has one for each frame, or one for each 64 (kpageflags, the idle bitmap): words `first` to `first + count`.
 * Words that are not there are 0. */
void ws_words_read(int fd, uint64_t first, uint64_t *out, size_t count);

#endif
