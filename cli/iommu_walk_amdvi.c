/* iommu_walk_amdvi.c - `nestwalk iommu walk --device-table`: the request through the tables of an AMD IOMMU. */
#include "iommu_walk_internal.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/reports/amdvi_walk.h>
#include <nestwalk/reports/export.h>
#include <stdlib.h>
#include <string.h>

struct amdvi_walk {
    struct nw_amdvi_tables tables;
    struct nw_amdvi_request request;
    struct nw_amdvi_watch watch;
    struct nw_amdvi_result result;
};

static void print_text(const struct walk *w, const struct amdvi_walk *a)
{
    const struct nw_amdvi_result *r = &a->result;
    char source[48], page[32], rights[4];
    for (unsigned i = 0; i < a->watch.count && i < NW_AMDVI_READS_MAX; i++) {
        const struct nw_amdvi_read *read = &a->watch.read[i];
        char what[48], decoded[256];
        nw_amdvi_read_name(read, what, sizeof what);
        nw_amdvi_read_decode(read, decoded, sizeof decoded);
        iommu_walk_word(i + 1, what, read->address, read->readable ? &read->value : NULL, decoded);
    }
    iommu_walk_source(w, source, sizeof source);
    printf("%s from %s of IOVA 0x%llx: ",
           a->request.execute                  ? "execute request"
           : a->request.kind == NW_AMDVI_WRITE ? "write"
                                               : "read",
           source, (unsigned long long)a->request.address);
    if (r->event.code) {
        printf("%s, flags 0x%03x: %s%s\n-> ", nw_amdvi_event_name(r->event.code), r->event.flags,
               nw_amdvi_event_text(&r->event), r->event.logged ? "" : " (not logged)");
        nw_cli_wrap(stdout, nw_amdvi_event_remedy(&r->event), 3, 3, nw_cli_columns(stdout, 100, 100));
        return;
    }
    iommu_walk_page(r->page_log2, page);
    nw_amdvi_rights_text(&a->request, r->rights, rights);
    printf("SPA 0x%llx, %s, rights %s (%s, domain 0x%x)\n", (unsigned long long)r->hpa.v, page, rights,
           nw_amdvi_translation_name[r->translation], r->domain_id);
}

static enum nw_status write_outputs(const struct walk *w, const struct amdvi_walk *a, struct nw_error *err)
{
    const char *json = w->value[OPT_JSON];
    char *text = NULL;
    enum nw_status s = json ? nw_amdvi_walk_json_text(&a->request, &a->watch, &a->result, &text, err) : NW_OK;
    if (!s && json)
        s = nw_report_write(json, text, strlen(text), err);
    free(text);
    if (!s && (!json || strcmp(json, "-")))
        print_text(w, a);
    return s;
}

static void take_options(const struct walk *w, struct amdvi_walk *a)
{
    const struct nw_amdvi_config c = nw_amdvi_config_default(NULL);
    const uint64_t control = w->value[OPT_CONTROL] ? w->number[OPT_CONTROL] : NW_AMDVI_CONTROL_GT_EN;
    struct nw_amdvi_capabilities *unit = &a->tables.unit;
    unit->efr = w->value[OPT_EFR] ? w->number[OPT_EFR] : c.unit.efr;
    unit->pa_bits = w->value[OPT_HAW] ? (uint8_t)w->number[OPT_HAW] : c.unit.pa_bits;
    if (!(control & NW_AMDVI_CONTROL_GT_EN))
        unit->efr &= ~NW_AMDVI_EFR_GT;
    a->tables.gcr3_tables_in_gpa = control & NW_AMDVI_CONTROL_GCR3_TRP_MODE;
    a->tables.device_table = w->number[OPT_DEVICE_TABLE];
    a->tables.watch = &a->watch;
    a->request = (struct nw_amdvi_request){ .device_id = w->request.source_id,
                                            .address = w->request.address,
                                            .kind = w->request.kind == NW_VTD_WRITE ? NW_AMDVI_WRITE : NW_AMDVI_READ,
                                            .has_pasid = w->request.has_pasid,
                                            .pasid = w->request.pasid,
                                            .execute = w->request.execute };
}

enum nw_status iommu_walk_amdvi(struct walk *w, bool *refused, struct nw_error *err)
{
    struct amdvi_walk a = { .tables.device_table = 0 };
    struct iommu_image image;
    take_options(w, &a);
    enum nw_status s = nw_amdvi_capabilities_check(&a.tables.unit, err);
    if (s)
        return s;
    if (a.request.kind == NW_AMDVI_WRITE && !a.request.has_pasid && nw_amdvi_interrupt_range(a.request.address))
        return nw_fail(err, NW_ERR_INPUT,
                       "a write to 0x%llx without PASID is an interrupt request (0xfee00000 to 0xfeefffff): no DMA "
                       "tables translate it",
                       (unsigned long long)a.request.address);
    s = iommu_image_open(&image, w->value[OPT_IMAGE], w->number[OPT_START], a.tables.unit.pa_bits, err);
    if (!s) {
        const struct nw_amdvi_range range = { image.range.start, image.range.end };
        a.tables.memory = (struct nw_amdvi_memory){ .pm = image.pm, .ram = &range, .ram_count = 1 };
        nw_amdvi_translate(&a.tables, &a.request, &a.result);
    }
    iommu_image_close(&image);
    *refused = a.result.event.code != 0;
    return s ? s : write_outputs(w, &a, err);
}
