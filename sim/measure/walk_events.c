/* Events of page walks by processor. The numbers are those of the event files that Intel and AMD publish and Linux ships: tools/perf/pmu-events/arch/x86,
 * of Intel virtual-memory.json in the folder named with each table, of AMD memory.json or load-store.json; which model has which folder is mapfile.csv
 * there. An event is here only if it is in those files. */
#include <nestwalk/base/bits.h>
#include <nestwalk/sim/counters.h>
#include <string.h>

const char *const nw_counted_name[NW_COUNTED] = { "dtlb_misses", "walks", "walk_cycles", "walk_references" };

enum { RAW = 4 /* PERF_TYPE_RAW, perf_event_open(2) */ };
#define EVENT(name_, select_, mask_, counted_, group_)                                                                 \
    {                                                                                                                  \
        name_, RAW, (mask_) << 8 | (select_), counted_, group_                                                         \
    }

/* Folders haswell, haswellx. EPT.WALK_CYCLES (4FH, 10H) is not added: the files do not say whether WALK_DURATION has these cycles already. */
static const struct nw_counter_event haswell[] = {
    EVENT("DTLB_LOAD_MISSES.MISS_CAUSES_A_WALK", 0x08, 0x01, NW_COUNTED_WALKS, 0),
    EVENT("DTLB_LOAD_MISSES.WALK_DURATION", 0x08, 0x10, NW_COUNTED_WALK_CYCLES, 0),
    EVENT("PAGE_WALKER_LOADS.DTLB_L1", 0xbc, 0x11, NW_COUNTED_WALK_REFERENCES, 1),
    EVENT("PAGE_WALKER_LOADS.DTLB_L2", 0xbc, 0x12, NW_COUNTED_WALK_REFERENCES, 1),
    EVENT("PAGE_WALKER_LOADS.DTLB_L3", 0xbc, 0x14, NW_COUNTED_WALK_REFERENCES, 1),
    EVENT("PAGE_WALKER_LOADS.DTLB_MEMORY", 0xbc, 0x18, NW_COUNTED_WALK_REFERENCES, 1),
};
/* Folders skylake, skylakex, cascadelakex: "EPT page walk duration are excluded in Skylake", so that of the EPT's walks is added. */
static const struct nw_counter_event skylake[] = {
    EVENT("DTLB_LOAD_MISSES.WALK_COMPLETED", 0x08, 0x0e, NW_COUNTED_WALKS, 0),
    EVENT("DTLB_LOAD_MISSES.WALK_PENDING", 0x08, 0x10, NW_COUNTED_WALK_CYCLES, 0),
    EVENT("EPT.WALK_PENDING", 0x4f, 0x10, NW_COUNTED_WALK_CYCLES, 0),
};
/* Folders icelake, icelakex, tigerlake, rocketlake; counter mask 1: cycles with a walk, not walks in each. */
static const struct nw_counter_event icelake[] = {
    EVENT("DTLB_LOAD_MISSES.WALK_COMPLETED", 0x08, 0x0e, NW_COUNTED_WALKS, 0),
    EVENT("DTLB_LOAD_MISSES.WALK_ACTIVE", 0x08, 0x10 | 1 << 16, NW_COUNTED_WALK_CYCLES, 0),
};
/* Folders sapphirerapids, emeraldrapids. */
static const struct nw_counter_event sapphire_rapids[] = {
    EVENT("DTLB_LOAD_MISSES.WALK_COMPLETED", 0x12, 0x0e, NW_COUNTED_WALKS, 0),
    EVENT("DTLB_LOAD_MISSES.WALK_ACTIVE", 0x12, 0x10 | 1 << 16, NW_COUNTED_WALK_CYCLES, 0),
};
/* Folder graniterapids. */
static const struct nw_counter_event granite_rapids[] = {
    EVENT("DTLB_LOAD_MISSES.WALK_COMPLETED", 0x12, 0x0e, NW_COUNTED_WALKS, 0),
};
/* Folders amdzen1 to amdzen5: PMCx045, the unit masks "L2 TLB miss (page-table walks are requested)" of all sizes of page. */
static const struct nw_counter_event zen[] = {
    EVENT("ls_l1_d_tlb_miss.all_l2_miss", 0x45, 0xf0, NW_COUNTED_WALKS, 0),
};

#define PERFMON "Intel's event files (perfmon), virtual-memory.json, "
#define AMD     "AMD's event files in Linux, ls_l1_d_tlb_miss (PMCx045), "
#define EVENTS(name_, processor_, source_, events_, remark_)                                                           \
    static const struct nw_walk_events name_ = { processor_, source_, remark_, events_, NW_ARRAY_LEN(events_) }

EVENTS(hsw, "Intel Haswell", PERFMON "haswell and haswellx", haswell,
       "erratum HSD25 is on references that L3 or memory answers");
EVENTS(bdw, "Intel Broadwell", PERFMON "broadwell, broadwellx and broadwellde", haswell,
       "errata BDM69, on walks and their cycles, and BDM98, on references");
EVENTS(skl, "Intel Skylake to Comet Lake", PERFMON "skylake, skylakex and cascadelakex", skylake,
       "cycles are those of walks for loads and, added to them, of all walks of the EPT");
EVENTS(icl, "Intel Ice Lake to Rocket Lake", PERFMON "icelake, icelakex, tigerlake and rocketlake", icelake,
       "whether the cycles of the EPT's walks are among those of walks is not said");
EVENTS(spr, "Intel Sapphire Rapids and Emerald Rapids", PERFMON "sapphirerapids and emeraldrapids", sapphire_rapids,
       "whether the cycles of the EPT's walks are among those of walks is not said");
EVENTS(gnr, "Intel Granite Rapids", PERFMON "graniterapids", granite_rapids, "");
EVENTS(zen1, "AMD Zen and Zen+", AMD "amdzen1", zen, "");
EVENTS(zen2, "AMD Zen 2", AMD "amdzen2", zen, "");
EVENTS(zen3, "AMD Zen 3", AMD "amdzen3", zen, "");
EVENTS(zen4, "AMD Zen 4", AMD "amdzen4", zen, "");
EVENTS(zen5, "AMD Zen 5", AMD "amdzen5", zen, "");

#define INTEL "GenuineIntel", 6
#define ZEN   "AuthenticAMD"
static const struct processor {
    const char *vendor;
    unsigned family, first, last; /* models */
    const struct nw_walk_events *events;
} processors[] = {
    { INTEL, 0x3c, 0x3c, &hsw },      { INTEL, 0x3f, 0x3f, &hsw },      { INTEL, 0x45, 0x46, &hsw },
    { INTEL, 0x3d, 0x3d, &bdw },      { INTEL, 0x47, 0x47, &bdw },      { INTEL, 0x4f, 0x4f, &bdw },
    { INTEL, 0x56, 0x56, &bdw },      { INTEL, 0x4e, 0x4e, &skl },      { INTEL, 0x55, 0x55, &skl },
    { INTEL, 0x5e, 0x5e, &skl },      { INTEL, 0x8e, 0x8e, &skl },      { INTEL, 0x9e, 0x9e, &skl },
    { INTEL, 0xa5, 0xa6, &skl },      { INTEL, 0x6a, 0x6a, &icl },      { INTEL, 0x6c, 0x6c, &icl },
    { INTEL, 0x7d, 0x7e, &icl },      { INTEL, 0x8c, 0x8d, &icl },      { INTEL, 0xa7, 0xa7, &icl },
    { INTEL, 0x8f, 0x8f, &spr },      { INTEL, 0xcf, 0xcf, &spr },      { INTEL, 0xad, 0xae, &gnr },
    { ZEN, 0x17, 0x00, 0x2f, &zen1 }, { ZEN, 0x17, 0x30, 0xff, &zen2 }, { ZEN, 0x19, 0x00, 0x0f, &zen3 },
    { ZEN, 0x19, 0x10, 0x1f, &zen4 }, { ZEN, 0x19, 0x20, 0x2f, &zen3 }, { ZEN, 0x19, 0x40, 0x5f, &zen3 },
    { ZEN, 0x19, 0x60, 0xaf, &zen4 }, { ZEN, 0x1a, 0x00, 0x2f, &zen5 }, { ZEN, 0x1a, 0x40, 0x4f, &zen5 },
    { ZEN, 0x1a, 0x60, 0x7f, &zen5 },
};

const struct nw_walk_events *nw_walk_events_of(const char *vendor, unsigned family, unsigned model)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(processors); i++) {
        const struct processor *p = &processors[i];
        if (!strcmp(p->vendor, vendor) && p->family == family && model >= p->first && model <= p->last)
            return p->events;
    }
    return NULL;
}
