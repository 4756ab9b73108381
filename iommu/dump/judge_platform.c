/* Options of the kernel. */
#include "judge.h"
#include <string.h>

void nw_judge_platform(struct judge *j)
{
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
        for (size_t k = 0; k < NW_ARRAY_LEN(bad); k++)
            if ((bad[k].whole ? !strcmp(o->text, bad[k].text) : !strncmp(o->text, bad[k].text, strlen(bad[k].text))))
                nw_judge_add(j, P05, &o->place, o->text, "%s", bad[k].what);
        if (!strcmp(o->text, "intel_iommu=off") && j->d->has_dmar && (j->d->dmar_flags & NW_DMAR_PLATFORM_OPT_IN))
            nw_judge_add(j, P03, &o->place, o->text, "the DMAR table has DMA_CTRL_PLATFORM_OPT_IN");
    }
}
