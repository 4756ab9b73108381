/* Reserved regions against the memory map and the devices. */
#include "judge.h"
#include "topology.h"
#include <stdio.h>
#include <string.h>

static bool is_ram(const struct nw_dump_range *r) { return !strncmp(r->what, "System RAM", 10); }

enum { BASE_CLASS_DISPLAY = 3, CLASS_USB = 0x0c03 };

/* Linux, device_rmrr_is_relaxable(): the region is for the firmware's own use of the device, and can be given up. */
static bool is_relaxable(const struct nw_dump_function *f)
{
    return f->class_code >> 8 == CLASS_USB || f->class_code >> 16 == BASE_CLASS_DISPLAY;
}

static void judge_owner(struct judge *j, const struct nw_dump_scope *s)
{
    const struct nw_dump *d = j->d;
    const struct nw_dump_range *m = &d->rmrr[s->owner];
    const struct nw_dump_function *f = nw_topology_resolve(d, s);
    const uint64_t bytes = m->last - m->start + 1;
    char where[64], name[16];
    snprintf(where, sizeof where, "RMRR %llx-%llx", (unsigned long long)m->start, (unsigned long long)m->last);
    nw_judge_name(s->bdf, name);
    if (!f && !s->deep && d->functions && bytes > NW_BIT(20) && m->last > m->start)
        nw_judge_add(j, R11, &s->place, where, "0x%llx bytes for %s, which is not shown", (unsigned long long)bytes,
                     name);
    if (!f || f->bridge || !f->has_class)
        return;
    nw_judge_function(f, name);
    if (is_relaxable(f) && nw_topology_is_assigned(f))
        nw_judge_add(j, R05, &s->place, where, "for %s, which has the driver %s", name, f->driver);
    else if (!is_relaxable(f) && nw_topology_is_assigned(f))
        nw_judge_add(j, R04, &s->place, where, "for %s, class %04x, which has the driver %s", name, f->class_code >> 8,
                     f->driver);
    else if (!is_relaxable(f))
        nw_judge_add_as(j, NW_IOMMU_INFO, R04, &s->place, where, "for %s, class %04x: no guest can be given it", name,
                        f->class_code >> 8);
}

/* Without the table, what the kernel says of the groups. */
static void judge_group_regions(struct judge *j, const struct nw_dump_function *f)
{
    char name[16];
    nw_judge_function(f, name);
    for (size_t i = 0; f->has_group && nw_topology_is_assigned(f) && i < j->d->regions; i++) {
        const struct nw_dump_region *r = &j->d->region[i];
        const bool relaxable = !strcmp(r->type, "direct-relaxable");
        if (r->group == f->group && (relaxable || !strcmp(r->type, "direct")))
            nw_judge_add(j, relaxable ? R05 : R04, &r->place, name, "has the driver %s, and 0x%llx-0x%llx is %s",
                         f->driver, (unsigned long long)r->start, (unsigned long long)r->last, r->type);
    }
}

void nw_judge_memory(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->scopes; i++)
        if (d->scope[i].of == NW_DMAR_RMRR &&
            (d->scope[i].type == NW_DMAR_SCOPE_ENDPOINT || d->scope[i].type == NW_DMAR_SCOPE_BRIDGE))
            judge_owner(j, &d->scope[i]);
    for (size_t i = 0; !d->has_dmar && i < d->functions; i++)
        judge_group_regions(j, &d->function[i]);
    for (size_t i = 0; d->ranges && i < d->rmrrs; i++) {
        const struct nw_dump_range *m = &d->rmrr[i], *ram = NULL;
        uint64_t covered = m->start; /* by reserved ranges, which stand in rising order */
        char where[64];
        for (size_t k = 0; k < d->ranges; k++) {
            const struct nw_dump_range *r = &d->range[k];
            if (is_ram(r) && overlap(m->start, m->last, r->start, r->last))
                ram = r;
            if (!is_ram(r) && covered <= m->last && r->start <= covered && r->last >= covered)
                covered = r->last + 1;
        }
        snprintf(where, sizeof where, "RMRR %llx-%llx", (unsigned long long)m->start, (unsigned long long)m->last);
        if (ram)
            nw_judge_add(j, R02, &ram->place, where, "overlaps System RAM at %llx-%llx", (unsigned long long)ram->start,
                         (unsigned long long)ram->last);
        else if (covered <= m->last)
            nw_judge_add(j, R03, &d->range[0].place, where, "0x%llx lies in no reserved range",
                         (unsigned long long)covered);
    }
}
