/* The firmware's tables as facts, for what is told of the running machine to be compared with. */
#include "reader.h"

/* Of a path's first hop: a device on the start bus. */
enum nw_status nw_dump_add_dmar(struct nw_dump *d, const struct nw_dmar *dmar, struct nw_error *err)
{
    d->has_dmar = true;
    d->dmar_flags |= dmar->flags;
    for (size_t i = 0; i < dmar->structures; i++) {
        const struct nw_dmar_structure *s = &dmar->structure[i];
        if (s->type == NW_DMAR_RMRR) {
            struct nw_dump_range *m = nw_reader_grow(&d->rmrr, &d->rmrrs, sizeof *m);
            if (!m)
                return nw_fail_nomem(err, "the regions of a table");
            *m = (struct nw_dump_range){ .start = s->base, .last = s->limit };
        }
        if (s->type != NW_DMAR_DRHD)
            continue;
        struct nw_dump_drhd *u = nw_reader_grow(&d->drhd, &d->drhds, sizeof *u);
        if (!u)
            return nw_fail_nomem(err, "the units of a table");
        *u = (struct nw_dump_drhd){ s->segment, s->base, s->flags & NW_DRHD_INCLUDE_PCI_ALL };
        for (size_t k = s->first_scope; k < s->first_scope + s->scopes; k++) {
            const struct nw_dmar_scope *scope = &dmar->scope[k];
            if ((scope->type != NW_DMAR_SCOPE_ENDPOINT && scope->type != NW_DMAR_SCOPE_BRIDGE) || !scope->hops)
                continue;
            struct nw_dump_scope *o = nw_reader_grow(&d->scope, &d->scopes, sizeof *o);
            if (!o)
                return nw_fail_nomem(err, "the scopes of a table");
            *o = (struct nw_dump_scope){ .drhd = d->drhds - 1,
                                         .bridge = scope->type == NW_DMAR_SCOPE_BRIDGE,
                                         .bdf = (uint16_t)(scope->start_bus << 8 | (scope->path[0] & 31) << 3 |
                                                           (scope->path[1] & 7)),
                                         .deep = scope->hops > 1 };
        }
    }
    return NW_OK;
}
