/* The intent's tables, once they are read. */
#include <nestwalk/iommu/intent.h>
#include <stdio.h>
#include <stdlib.h>

int nw_intent_device_of(const struct nw_intent *in, uint16_t segment, uint16_t source_id, bool has_pasid,
                        uint32_t pasid)
{
    int found = -1;
    for (size_t i = 0; i < in->devices; i++) {
        const struct nw_intent_device *d = &in->device[i];
        if (d->segment != segment || source_id < d->first || source_id > d->last)
            continue;
        if (d->has_pasid && has_pasid && d->pasid == pasid)
            return (int)i;
        if (!d->has_pasid)
            found = (int)i;
    }
    return found;
}

void nw_intent_owner_text(const struct nw_intent *in, int owner, char *out, size_t out_size)
{
    static const char *const text[NW_INTENT_KINDS] = { NULL, "the hypervisor", "nobody", "the units' tables",
                                                       "anybody" };
    const enum nw_intent_kind kind = owner < 0 ? in->others : in->owner[owner].kind;
    if (kind == NW_INTENT_GUEST)
        snprintf(out, out_size, "guest %s", in->owner[owner].name);
    else
        snprintf(out, out_size, "%s", text[kind]);
}

void nw_intent_fini(struct nw_intent *in)
{
    for (size_t i = 0; i < in->owners; i++)
        free(in->owner[i].name);
    free(in->owner);
    free(in->device);
    free(in->memory);
    free(in->shared);
    free(in->window);
    free(in->file);
    free(in->name);
    *in = (struct nw_intent){ 0 };
}
