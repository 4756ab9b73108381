#include "io_price.h"
#include "exit_reason.h"
#include <nestwalk/iommu/dma_map.h>

bool nw_config_has_io(const struct nw_config *c)
{
    return c->iommu.kind != NW_IOMMU_NONE || c->io.device != NW_IO_PASSED_THROUGH;
}

/* ---- the three models ---- what happens for a packet, besides the driver's own work. */

/* Something that exits, or, with the hypervisor on another core, tells it. */
static void trap(struct machine *m, struct nw_io_counters *r, enum nw_exit_reason reason)
{
    if (m->config->io.split)
        r->notifications++;
    else
        machine_exit(m, reason);
}

static bool is_due(uint64_t packets, uint64_t batch) { return packets % batch == 0; }

/* An interrupt comes in by an exit, and its end is told to the interrupt controller by another. That of a device which the host drives is the host's own,
 * with all that the host does about it; that of one passed through is only handed on. */
static void interrupt(struct machine *m, struct nw_io_counters *r)
{
    const bool passed_through = m->config->io.device == NW_IO_PASSED_THROUGH;
    r->interrupts++;
    if (m->config->io.exitless && passed_through)
        return;
    trap(m, r, passed_through ? NW_EXIT_RECORDED : NW_EXIT_EXTERNAL_INTERRUPT);
    trap(m, r, NW_EXIT_APIC_ACCESS);
}

void io_model_request(struct machine *m, struct nw_io_counters *r)
{
    const struct nw_io_config *io = &m->config->io;
    if (m->config->mode == NW_MODE_NATIVE)
        return;
    const uint64_t bytes = r->bytes - r->modelled_bytes;
    r->modelled_bytes = r->bytes;
    if (io->device == NW_IO_EMULATED) {
        for (uint64_t i = 0; i < io->register_accesses; i++)
            trap(m, r, NW_EXIT_MMIO);
        r->copied_bytes += bytes; /* the device model has no DMA: it copies */
    } else if (io->device == NW_IO_PARAVIRTUAL) {
        if (is_due(r->packets, io->kick_batch)) {
            r->kicks++;
            trap(m, r, NW_EXIT_IO_INSTRUCTION);
        }
        r->copied_bytes += bytes;
        r->grant_operations += io->backend == NW_IO_BACKEND_GRANT;
    }
    if (is_due(r->packets, io->interrupt_batch))
        interrupt(m, r);
}

/* ---- prices ---- */

/* IEEE 802.3: check sequence 4, preamble and delimiter 8, gap 12 bytes. */
enum { WIRE_EXTRA = 24 };

static double cycles_of(const struct nw_config *c, const struct nw_io_counters *r)
{
    const struct nw_io_cost *p = &c->cost.io;
    const bool calls = c->iommu.kind != NW_IOMMU_NONE && c->iommu.strategy != NW_DMA_IDENTITY;
    const uint64_t waited = c->iommu.unit == NW_DMA_UNIT_SIDECORE ? p->sidecore_cycles : p->invalidation_cycles;
    const struct nw_io_setup *before = &r->setup;
    return (double)r->packets * (double)p->packet_cycles +
           (calls ? (double)(r->maps + r->unmaps - before->calls) * (double)p->call_cycles : 0) +
           (double)(r->ranges_taken - before->ranges_taken) * (double)p->address_cycles +
           (double)(r->entries_written - before->entries_written) * (double)p->entry_cycles +
           (double)(r->waits - before->waits) * (double)waited +
           (double)(r->grant_operations - before->grant_operations) * (double)p->grant_cycles +
           (double)r->notifications * (double)p->notify_cycles +
           (double)(r->copied_bytes - before->copied_bytes) / p->copy_bytes;
}

void io_price(const struct nw_config *c, struct nw_io_counters *r, double link_gbps)
{
    if (!r->packets && !r->maps)
        return;
    r->cycles = (uint64_t)cycles_of(c, r);
    r->unit_ns =
        (uint64_t)((double)(r->references - r->setup.references) * c->dmar.reference_ns / (double)c->dmar.walkers);
    r->link_gbps = link_gbps;
    if (link_gbps > 0)
        r->link_ns = (uint64_t)(((double)r->bytes + (double)r->frames * WIRE_EXTRA) * 8 / link_gbps);
}
