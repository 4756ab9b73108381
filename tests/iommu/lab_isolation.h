/* lab_isolation.h - for each rule about intents a small machine: two devices behind one VT-d unit, and what should hold of them. */
#ifndef NESTWALK_TESTS_LAB_ISOLATION_H
#define NESTWALK_TESTS_LAB_ISOLATION_H

#include "iommu_common.h"
#include "lab.h"
#include <nestwalk/iommu/proof.h>

/* 00:02.0 is guest a's, whose memory is 8 to 9 MiB, and 00:03.0 guest b's, 9 to 10 MiB. Each has three levels of tables, with IOVAs from
 * 0 on; a table of the leaves is at `leaves`. */
enum { A = 0x10, B = 0x18, LEAVES_A = 0x5000, LEAVES_B = 0x15000, LAB_MEMORY = 0x1000000 };

struct lab_machine {
    struct nw_physmem *pm;
    struct nw_intent in;
    struct nw_intent_owner owner[2];
    struct nw_intent_device device[2];
    struct nw_intent_memory memory[2];
    struct nw_intent_window window[1];
};

static void lab_device(struct nw_physmem *pm, unsigned source, uint64_t tables, unsigned domain)
{
    put64(pm, 0x2000 + source * 16, tables | 1);
    put64(pm, 0x2008 + source * 16, (uint64_t)domain << 8 | 1);
    put64(pm, tables, (tables + 0x1000) | 3);
    put64(pm, tables + 0x1000, (tables + 0x2000) | 3);
}

static void lab_machine_build(struct lab_machine *m)
{
    *m = (struct lab_machine){
        .owner = { { (char *)"a", NW_INTENT_GUEST, true }, { (char *)"b", NW_INTENT_GUEST, true } },
        .device = { { .first = A, .last = A, .owner = 0 }, { .first = B, .last = B, .owner = 1 } },
        .memory = { { 0x800000, 0x900000, NW_REACH_BOTH, 0, 1 }, { 0x900000, 0xa00000, NW_REACH_BOTH, 1, 2 } },
    };
    m->in = (struct nw_intent){ .others = NW_INTENT_BLOCKED,
                                .owner = m->owner,
                                .device = m->device,
                                .memory = m->memory,
                                .window = m->window,
                                .owners = 2,
                                .devices = 2,
                                .memories = 2 };
    must(nw_physmem_create(&m->pm, err));
    put64(m->pm, 0x1000, 0x2001);
    lab_device(m->pm, A, 0x3000, 1);
    lab_device(m->pm, B, 0x13000, 2);
    put64(m->pm, LEAVES_A + 8, 0x800003);
    put64(m->pm, LEAVES_B + 8, 0x900003);
}

/* Frees the machine. */
static void lab_prove(struct lab_machine *m, struct nw_iommu_findings *found)
{
    static const struct nw_vtd_range ram = { 0, LAB_MEMORY };
    struct nw_vtd_tables t = { .unit = nw_vtd_config_default(NULL).unit,
                               .memory = { .pm = m->pm, .ram = &ram, .ram_count = 1 },
                               .rtaddr = 0x1000 };
    struct nw_proof *p;
    struct nw_proved proved;
    must(nw_proof_create(&m->in, &p, err));
    must(nw_proof_add_vtd(p, "unit", 0, &t, err));
    must(nw_proof_judge(p, found, &proved, err));
    nw_proved_fini(&proved);
    nw_proof_destroy(p);
    nw_physmem_destroy(m->pm);
}

static void x17(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    put64(m.pm, LEAVES_A + 16, broken ? 0xb00003 : 0x801003); /* nobody's */
    lab_prove(&m, found);
}

static void x19(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    m.in.memories = 0; /* whose memory is where is not known */
    m.owner[0].has_memory = m.owner[1].has_memory = false;
    put64(m.pm, LEAVES_B + 8, broken ? 0x800003 : 0x900003);
    lab_prove(&m, found);
}

static void n01(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    m.in.devices = 1;
    put64(m.pm, 0x2000 + B * 16, broken ? 0x13001 : 0);
    lab_prove(&m, found);
}

static void n02(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    m.window[0] = (struct nw_intent_window){ .first = 0x1000, .last = 0x2fff, .rights = NW_REACH_BOTH, .device = -1 };
    m.in.windows = 1;
    put64(m.pm, LEAVES_A + (broken ? 24 : 16), 0x801003);
    lab_prove(&m, found);
}

static void n03(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    m.memory[0].rights = NW_REACH_READ;
    put64(m.pm, LEAVES_A + 8, broken ? 0x800003 : 0x800001);
    lab_prove(&m, found);
}

static void n04(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    m.owner[1] = (struct nw_intent_owner){ (char *)"hypervisor", NW_INTENT_HYPERVISOR, true };
    put64(m.pm, LEAVES_B + 16, broken ? 0x800001 : 0xb00003);
    lab_prove(&m, found);
}

static void n05(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    m.window[0] = (struct nw_intent_window){
        .first = 0x2000, .last = 0x2fff, .rights = NW_REACH_BOTH, .has_target = true, .required = true, .target = 0x2000
    };
    m.in.windows = 1;
    put64(m.pm, LEAVES_A + 16, broken ? 0x801003 : 0x2003);
    put64(m.pm, 0x1000, 0x22001); /* the context table lies elsewhere */
    for (unsigned i = 0; i < 512; i++)
        put64(m.pm, 0x22000 + i * 8, get64(m.pm, 0x2000 + i * 8));
    lab_prove(&m, found);
}

static void n06(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    put64(m.pm, 0x4008, broken ? LAB_MEMORY | 3 : 0x6003);
    lab_prove(&m, found);
}

static void n07(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    put64(m.pm, 0x2000 + B * 16, broken ? 0 : 0x13001);
    lab_prove(&m, found);
}

static void n08(bool broken, struct nw_iommu_findings *found)
{
    struct lab_machine m;
    lab_machine_build(&m);
    put64(m.pm, LEAVES_A + 8, 0x800001);
    put64(m.pm, 0x3008, (broken ? LEAVES_A : 0x7000) | 3); /* a table of leaves as a table of level 2 */
    lab_prove(&m, found);
}

static const struct lab_case lab_isolation[] = {
    { .rule = "X17", .judge = x17 }, { .rule = "X19", .judge = x19 }, { .rule = "N01", .judge = n01 },
    { .rule = "N02", .judge = n02 }, { .rule = "N03", .judge = n03 }, { .rule = "N04", .judge = n04 },
    { .rule = "N05", .judge = n05 }, { .rule = "N06", .judge = n06 }, { .rule = "N07", .judge = n07 },
    { .rule = "N08", .judge = n08 },
};

#endif
