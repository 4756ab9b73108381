/* Options of the kernel, and what the platform asks for. */
#include "judge.h"
#include "topology.h"
#include <string.h>

enum { CLASS_USB4_HOST = 0x0c0340 };

/* What shows that devices can be plugged in from outside. */
static const struct nw_dump_function *outward(const struct nw_dump *d)
{
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        if (f->external || (f->has_class && f->class_code == CLASS_USB4_HOST) || !strcmp(f->driver, "thunderbolt"))
            return f;
    }
    return NULL;
}

static void judge_opt_in(struct judge *j)
{
    const struct nw_dump_function *f = outward(j->d);
    char where[16];
    if (!f || !j->d->has_dmar || (j->d->dmar_flags & NW_DMAR_PLATFORM_OPT_IN))
        return;
    nw_judge_function(f, where);
    nw_judge_add(j, P04, &f->place, where, "%s, and the DMAR table lacks DMA_CTRL_PLATFORM_OPT_IN",
                 f->external ? "is outside" : "serves Thunderbolt or USB4 ports");
}

/* Linux, iommu_snp_enable(). */
static void judge_encryption(struct judge *j, const struct nw_dump_option *o)
{
    const struct nw_dump *d = j->d;
    bool encrypts = d->cpu.snp;
    for (size_t i = 0; i < d->options; i++)
        encrypts |= !strcmp(d->option[i].text, "mem_encrypt=on");
    if (encrypts && (!strcmp(o->text, "iommu=pt") || !strcmp(o->text, "iommu.passthrough=1")))
        nw_judge_add(j, P06, &o->place, o->text, "%s",
                     d->cpu.snp ? "the processor has SEV-SNP" : "the command line has mem_encrypt=on");
}

/* What a log says of the command line counts when nothing else does. */
static bool has_cmdline(const struct nw_dump *d)
{
    for (size_t i = 0; i < d->options; i++)
        if (!d->option[i].from_log)
            return true;
    return false;
}

void nw_judge_platform(struct judge *j)
{
    const bool from_log = !has_cmdline(j->d);
    judge_opt_in(j);
    static const struct {
        const char *text, *what;
        bool whole; /* the option and nothing behind it */
    } bad[] = {
        { "iommu=pt", "devices of the host are passed through", true },
        { "iommu.passthrough=1", "devices of the host are passed through", true },
        { "intel_iommu=off", "DMA is not translated", true },
        { "amd_iommu=off", "DMA is not translated", true },
        { "iommu=off", "DMA is not translated", true },
        { "intremap=off", "interrupts are not remapped", true },
        { "intremap=nosid", "the source of interrupts is not verified", true },
        { "nointremap", "interrupts are not remapped", true },
        { "intel_iommu=igfx_off", "the graphics device is not translated", true },
        { "vfio_iommu_type1.allow_unsafe_interrupts=1", "guests get devices without interrupt remapping", true },
        { "pcie_acs_override=", "groups are split that are not isolated", false },
    };
    for (size_t i = 0; i < j->d->options; i++) {
        const struct nw_dump_option *o = &j->d->option[i];
        if (o->from_log && !from_log)
            continue;
        judge_encryption(j, o);
        for (size_t k = 0; k < NW_ARRAY_LEN(bad); k++)
            if ((bad[k].whole ? !strcmp(o->text, bad[k].text) : !strncmp(o->text, bad[k].text, strlen(bad[k].text))))
                nw_judge_add(j, P05, &o->place, o->text, "%s", bad[k].what);
        if (!strcmp(o->text, "intel_iommu=off") && j->d->has_dmar && (j->d->dmar_flags & NW_DMAR_PLATFORM_OPT_IN))
            nw_judge_add(j, P03, &o->place, o->text, "the DMAR table has DMA_CTRL_PLATFORM_OPT_IN");
    }
}
