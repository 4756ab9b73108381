/* host.h - what a machine says of itself: its processor's TLBs, caches and paging features by CPUID, and what Linux tells of virtualization and huge
 * pages.
 *
 *     struct nw_cpuid id = { 0 };
 *     if ((s = nw_cpuid_read(&id, err))) return s;              // this machine's; or nw_cpuid_parse() of recorded ones
 *     nw_host_decode(&id, &host);
 *     nw_host_look_around(&host);                              // /sys and /dev, what can be read of them
 *     s = nw_host_profile(&host, &config, notes, &count, err); // a machine profile, source "cpuid ..."
 *     nw_cpuid_fini(&id);
 *
 * Sources: Intel SDM vol. 2, "CPUID - CPU Identification", leaves 2, 4 and 18H; AMD APM vol. 3, appendix E, functions 8000_0005h, 8000_0006h,
 * 8000_0019h and 8000_001Dh. */
#ifndef NESTWALK_SIM_HOST_H
#define NESTWALK_SIM_HOST_H

#include <nestwalk/sim/config.h>

/* ---- leaves ---- */

struct nw_cpuid_leaf {
    uint32_t leaf, subleaf, eax, ebx, ecx, edx;
};
struct nw_cpuid {
    struct nw_cpuid_leaf *leaf;
    size_t count, capacity;
};
/* NW_ERR_UNSUPPORTED: no x86 processor. */
enum nw_status nw_cpuid_read(struct nw_cpuid *out, struct nw_error *err) NW_MUST_USE;
/* Text of `cpuid -r -1`: "   0x00000004 0x01: eax=0x... ebx=0x... ecx=0x... edx=0x..."; other lines are passed over. `name` is for messages.
 * NW_ERR_INPUT: no such line. */
enum nw_status nw_cpuid_parse(struct nw_cpuid *out, const char *text, const char *name,
                              struct nw_error *err) NW_MUST_USE;
void nw_cpuid_fini(struct nw_cpuid *id);
/* All zero when it is not there. */
struct nw_cpuid_leaf nw_cpuid_find(const struct nw_cpuid *id, uint32_t leaf, uint32_t subleaf);

/* ---- what they say ---- */

enum { NW_HOST_TLBS_MAX = 32, NW_HOST_CACHES_MAX = 16, NW_HOST_TEXT = 256, NW_HOST_LINES = 12 };

struct nw_host_tlb {
    unsigned level, entries, ways; /* ways == entries: fully associative */
    uint64_t class;                /* enum nw_tlb_class */
    uint64_t pages;                /* set of enum nw_page_bits */
    bool stores_only;              /* Intel leaf 18H, type 5: the model has no such array */
    char source[64];               /* "cpuid 00000018h:2" */
};
struct nw_host_cache {
    unsigned level, ways, line_bytes;
    bool data, instructions;
    uint64_t bytes;
    char source[64];
};

struct nw_host {
    char vendor[16], model_name[64];
    unsigned family, model, stepping;
    struct nw_host_tlb tlb[NW_HOST_TLBS_MAX];
    struct nw_host_cache cache[NW_HOST_CACHES_MAX];
    size_t tlbs, caches;
    bool page_1g, la57, pcid, invpcid, nx, smep, smap, pku, vmx, svm, nested_paging;
    unsigned physical_bits, linear_bits;
    unsigned asids;        /* SVM: address space identifiers */
    uint32_t svm_features; /* 8000_000Ah, EDX */
    char hypervisor[32];   /* above: "KVMKVMKVM", "Microsoft Hv", ...; "" on bare metal */
    const char *near;      /* shipped profile that describes this model; NULL: none */
    /* nw_host_look_around(): "" or what could not be read, and why */
    char kvm[NW_HOST_TEXT];        /* "pvm", "vmx, ept=Y, vpid=Y", "svm, npt=1"; "none: ..." */
    char huge_pages[NW_HOST_TEXT]; /* "transparent: madvise, defrag madvise, khugepaged: ...; pool of 2M pages: ..." */
    double tsc_mhz;                /* measured against the monotonic clock, 0: not measured */
    double core_mhz;               /* of this processor while busy: a chain of multiplications against the counter */
    char capability[NW_HOST_LINES][NW_HOST_TEXT]; /* "IA32_VMX_EPT_VPID_CAP: 4-level EPT, 2M, ..." */
    char unread[NW_HOST_LINES][NW_HOST_TEXT];     /* what could not be read, why, and what that costs */
    size_t capabilities, unreads;
};

void nw_host_decode(const struct nw_cpuid *id, struct nw_host *out);
/* Reads /sys and /dev, and times the counter for 20 ms. Changes nothing. */
void nw_host_look_around(struct nw_host *host);

/* The machine of *out becomes the host's: TLB arrays, caches and names from CPUID; all else keeps its default. notes[]: in words, what CPUID says
 * and the model cannot have, or what it does not say (free to be printed; at most NW_HOST_NOTES). NW_ERR_UNSUPPORTED: CPUID tells of no TLB
 * for data or none for instructions: a hypervisor hides them; the message names the nearest shipped profile. */
enum { NW_HOST_NOTES = 16 };
enum nw_status nw_host_profile(const struct nw_host *host, struct nw_config *out,
                               char notes[NW_HOST_NOTES][NW_HOST_TEXT], size_t *note_count,
                               struct nw_error *err) NW_MUST_USE;

#endif
