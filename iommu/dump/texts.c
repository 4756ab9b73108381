/* Texts of a running machine: which there are. */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line is tried by all of them, in this order, before the next line is. A log may quote what others look like, so it comes first; the
 * latencies begin as the registers do. */
extern const struct text_format nw_text_dmesg, nw_text_sysfs, nw_text_cpuinfo, nw_text_latency, nw_text_regset,
    nw_text_amd_mmio, nw_text_amd_capability, nw_text_amd_cmdbuf, nw_text_amd_devtbl, nw_text_amd_irqtbl,
    nw_text_translation, nw_text_mappings, nw_text_interrupts, nw_text_queue, nw_text_iomem, nw_text_lspci,
    nw_text_cmdline;
static const struct text_format *const formats[] = {
    &nw_text_dmesg,       &nw_text_sysfs,          &nw_text_cpuinfo,    &nw_text_latency,    &nw_text_regset,
    &nw_text_amd_mmio,    &nw_text_amd_capability, &nw_text_amd_cmdbuf, &nw_text_amd_devtbl, &nw_text_amd_irqtbl,
    &nw_text_translation, &nw_text_mappings,       &nw_text_interrupts, &nw_text_queue,      &nw_text_iomem,
    &nw_text_lspci,       &nw_text_cmdline,
};

static const struct text_format *recognise(const char *text, size_t size)
{
    struct reader r = { .at = text, .end = text + size };
    for (unsigned i = 0; i < 64 && nw_reader_next(&r); i++)
        for (size_t k = 0; r.count && k < NW_ARRAY_LEN(formats); k++)
            if (formats[k]->begins(&r))
                return formats[k];
    return NULL;
}

const char *nw_dump_recognise(const char *text, size_t size)
{
    const struct text_format *format = recognise(text, size);
    return format ? format->name : NULL;
}

enum nw_status nw_dump_add(struct nw_dump *d, const char *text, size_t size, const char *file, unsigned input,
                           size_t *items, struct nw_error *err)
{
    const struct text_format *format = recognise(text, size);
    struct reader r = { .d = d, .at = text, .end = text + size, .file = file, .input = input };
    *items = 0;
    if (!format) {
        char known[512] = "";
        for (size_t i = 0; i < NW_ARRAY_LEN(formats); i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", formats[i]->name);
        return nw_fail(err, NW_ERR_INPUT, "%s: not a text that is known here; those are %s", file, known);
    }
    enum nw_status s = format->parse(&r, err);
    *items = r.items;
    return s;
}

void nw_dump_fini(struct nw_dump *d)
{
    free(d->unit);
    free(d->context);
    free(d->mapping);
    free(d->tree);
    free(d->entries);
    free(d->queue);
    free(d->latency);
    free(d->amd.reg);
    free(d->amd.dte);
    free(d->amd.irte);
    free(d->amd.command);
    free(d->amd.buffer);
    free(d->amd.ivhd);
    free(d->irte);
    free(d->descriptor);
    free(d->range);
    free(d->rmrr);
    free(d->option);
    free(d->function);
    free(d->group);
    free(d->region);
    free(d->fault);
    free(d->drhd);
    free(d->ports);
    free(d->scope);
    free(d->ioapic);
    free(d->scoped);
    free(d->special);
    free(d->devices);
    free(d->units_of_ivrs);
    *d = (struct nw_dump){ .has_dmar = false };
}
