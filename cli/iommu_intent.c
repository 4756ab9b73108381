#include "iommu_intent.h"
#include "cli.h"
#include <nestwalk/reports/survey.h>
#include <nestwalk/reports/vtd_walk.h>
#include <nestwalk/scenarios/intent.h>
#include <string.h>

/* ---- inputs ------------------------------------------------------------------------------------- */

static enum nw_status add_vtd(void *context, const char *name, uint16_t segment, const struct nw_vtd_tables *t,
                              struct nw_error *err)
{
    return nw_proof_add_vtd(context, name, segment, t, err);
}
static enum nw_status add_amdvi(void *context, const char *name, uint16_t segment, const struct nw_amdvi_tables *t,
                                struct nw_error *err)
{
    return nw_proof_add_amdvi(context, name, segment, t, err);
}

static enum nw_status add_tables(struct iommu_intent *i, struct iommu_unit *unit, const struct nw_dump *d,
                                 struct nw_error *err)
{
    const struct iommu_unit_use use = { add_vtd, add_amdvi, i->proof };
    if (unit->value[UNIT_IMAGE])
        return iommu_unit_each(unit, d, &use, err);
    if (!d->mappings && !d->contexts)
        return nw_fail(err, NW_ERR_INPUT,
                       "%s: there is nothing to hold it against; give a memory image (--image), or the machine's "
                       "domain_translation_struct",
                       i->in.file);
    return nw_proof_add_dump(i->proof, d, err);
}

static void on_progress(void *context, uint64_t tables) { nw_cli_progress_update(context, tables, 0); }

enum nw_status iommu_intent_check(struct iommu_intent *i, const char *path, struct iommu_unit *unit,
                                  const struct nw_dump *dump, struct nw_iommu_findings *found, struct nw_error *err)
{
    enum nw_status s = nw_intent_load(path, &i->in, err);
    if (!s)
        s = nw_proof_create(&i->in, &i->proof, err);
    struct nw_cli_progress progress;
    nw_cli_progress_start(&progress, "what devices reach", "tables");
    if (!s) {
        nw_proof_watch(i->proof, on_progress, &progress);
        s = add_tables(i, unit, dump, err);
    }
    if (!s)
        s = nw_proof_judge(i->proof, found, &i->proved, err);
    if (i->proof)
        nw_proof_watch(i->proof, NULL, NULL);
    nw_cli_progress_finish(&progress);
    if (!s) {
        found->intent = &i->in;
        found->proved = &i->proved;
    }
    return s;
}

void iommu_intent_close(struct iommu_intent *i)
{
    nw_proved_fini(&i->proved);
    nw_proof_destroy(i->proof);
    nw_intent_fini(&i->in);
}

/* ---- telling ------------------------------------------------------------------------------------ */

static void device_text(const struct nw_proved_device *d, char out[48])
{
    char source[8];
    nw_vtd_source_text(d->source_id, source);
    int used = d->segment ? snprintf(out, 48, "%04x:", d->segment) : 0;
    used += snprintf(out + used, 48 - (size_t)used, "%s", source);
    if (d->has_pasid)
        snprintf(out + used, 48 - (size_t)used, " PASID 0x%x", d->pasid);
}

enum { NAMED_MAX = 4 }; /* devices of a subject */

static void print_subject(const struct iommu_intent *i, const struct nw_proved_subject *s)
{
    char text[48], owner[64], bytes[24];
    nw_intent_owner_text(&i->in, s->owner, owner, sizeof owner);
    printf("    ");
    for (size_t k = 0; k < s->devices && k < NAMED_MAX; k++) {
        device_text(&s->device[k], text);
        printf("%s%s", k ? ", " : "", text);
    }
    if (s->devices > NAMED_MAX)
        printf(" and %zu more", s->devices - NAMED_MAX);
    printf(" (%s%s), %s: ", s->owner < 0 ? "not named, so " : "", owner, s->translation);
    if (s->everything) {
        static const char *const does[] = { "", "reads", "writes", "reads and writes" };
        printf("%s all of memory", does[s->everything & 3]);
    } else if (!s->read_ranges && !s->write_ranges) {
        printf("reaches nothing%s%s", *s->reason ? ", " : "", s->reason);
    } else {
        nw_survey_bytes_text(s->read_bytes, bytes);
        printf("reads %s in %llu range%s", bytes, (unsigned long long)s->read_ranges, s->read_ranges == 1 ? "" : "s");
        nw_survey_bytes_text(s->write_bytes, bytes);
        printf(", writes %s in %llu range%s", bytes, (unsigned long long)s->write_ranges,
               s->write_ranges == 1 ? "" : "s");
    }
    if (s->findings)
        printf("; %zu finding%s\n", s->findings, s->findings == 1 ? "" : "s");
    else
        printf("%s\n", s->unchecked ? "; not checked" : "; as intended");
}

void iommu_intent_print(const struct iommu_intent *i)
{
    printf("what devices reach, by all of their tables:\n");
    for (size_t k = 0; k < i->proved.subjects; k++)
        print_subject(i, &i->proved.subject[k]);
}

void iommu_witness_print(const struct nw_iommu_witness *w)
{
    char text[48];
    device_text(&(struct nw_proved_device){ w->segment, w->source_id, w->has_pasid, w->pasid }, text);
    printf("      %s of IOVA 0x%llx by %s leads to 0x%llx%s\n", w->write ? "a write" : "a read",
           (unsigned long long)w->iova, text, (unsigned long long)w->hpa, w->entries ? ", by" : "");
    for (unsigned i = 0; i < w->entries; i++) {
        const struct nw_iommu_witness_entry *e = &w->entry[i];
        printf("        %-28s at 0x%-12llx 0x%016llx  ", e->what, (unsigned long long)e->address,
               (unsigned long long)e->value);
        nw_cli_wrap(stdout, e->decoded, 10, 75, nw_cli_columns(stdout, 100, 100));
    }
}
