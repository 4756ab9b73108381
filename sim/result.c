/* result.c - the table of a run's counters, and what is derived from them. */
#include <inttypes.h>
#include <nestwalk/sim/result.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint64_t nw_histogram_upper[NW_HISTOGRAM_BUCKETS] = {
    5,   10,  15,  20,  30,  40,  60,   80,   100,  125,  150,  200,
    250, 300, 400, 500, 700, 900, 1200, 1600, 2400, 4000, 8000, UINT64_MAX,
};

#define ROW(field, path, unit, doc) NW_COUNTER(struct nw_result, field, path, unit, doc)

static const struct nw_counter_row access_rows[] = {
    ROW(accesses.total, "accesses.total", "accesses", "memory accesses replayed"),
    ROW(accesses.fetch, "accesses.fetch", "accesses", "instruction fetches"),
    ROW(accesses.load, "accesses.load", "accesses", "loads"),
    ROW(accesses.store, "accesses.store", "accesses", "stores"),
};
static const struct nw_counter_row walk_rows[] = {
    ROW(walks.count, "walks.count", "walks", "misses of the last TLB level"),
    ROW(walks.references, "walks.references", "references", "table entries read by those walks"),
    ROW(walks.references_guest, "walks.references_guest", "references",
        "... of the guest's tables (natively and in shadow mode: of the only ones; in agile mode: and of shadow "
        "tables)"),
    ROW(walks.references_nested, "walks.references_nested", "references", "... of the second stage"),
    ROW(walks.cycles, "walks.cycles", "cycles", "latency of those walks, before overlap"),
    ROW(walks.dirty_assists, "walks.dirty_assists", "walks",
        "stores that hit an entry not yet marked dirty, so that the tables were walked to set D"),
    ROW(walks.dirty_assist_references, "walks.dirty_assist_references", "references", "table entries read by those"),
};
static const struct nw_counter_row prefetch_rows[] = {
    ROW(prefetch.walks, "prefetch.walks", "walks", "walks made ahead, for the page after one that missed"),
    ROW(prefetch.references, "prefetch.references", "references", "table entries read by those"),
    ROW(prefetch.fills, "prefetch.fills", "entries", "translations they brought into the last TLB level"),
};
static const struct nw_counter_row fault_rows[] = {
    ROW(faults.guest_page_faults, "faults.guest_page_faults", "faults", "page faults of the guest"),
    ROW(faults.ept_violations, "faults.ept_violations", "faults",
        "second-stage faults: EPT violations, nested page faults"),
    ROW(faults.ept_misconfigurations, "faults.ept_misconfigurations", "faults", "EPT misconfigurations"),
    ROW(faults.dmar, "faults.dmar", "faults", "DMA remapping faults"),
    ROW(faults.noncanonical, "faults.noncanonical", "accesses",
        "look-ups of addresses that are not canonical under the guest's paging: refused before any TLB"),
};
static const struct nw_counter_row shadow_rows[] = {
    ROW(shadow.fills, "shadow.fills", "entries", "leaf entries made in the shadow table"),
    ROW(shadow.table_writes, "shadow.table_writes", "writes", "trapped writes to write-protected guest table pages"),
    ROW(shadow.syncs, "shadow.syncs", "entries", "shadow entries brought in step with a changed guest entry"),
    ROW(shadow.zapped, "shadow.zapped", "pages", "shadow table pages discarded"),
    ROW(shadow.flushes, "shadow.flushes", "flushes", "TLB flushes that shadowing needed"),
    ROW(shadow.propagated, "shadow.propagated", "entries",
        "policy eager and mode agile: shadow leaves brought in step at once by a trapped write"),
    ROW(shadow.emptied, "shadow.emptied", "loads", "policy virtual-tlb: loads of CR3 that emptied the shadow table"),
    ROW(shadow.pages, "shadow.pages", "pages", "shadow table pages at the end"),
    ROW(shadow.pages_peak, "shadow.pages_peak", "pages", "shadow table pages at most"),
    ROW(shadow.guest_table_pages, "shadow.guest_table_pages", "pages",
        "guest table pages that are shadowed at the end"),
};
static const struct nw_counter_row agile_rows[] = {
    ROW(shadow.nested_tables, "shadow.nested_tables", "pages",
        "guest table pages that are nested at the end, without those below them"),
    ROW(shadow.switched_to_nested, "shadow.switched_to_nested", "pages",
        "guest table pages that became nested, because they were written often"),
    ROW(shadow.switched_to_shadow, "shadow.switched_to_shadow", "pages",
        "nested guest table pages that became shadowed again"),
    ROW(shadow.cr3_without_exit, "shadow.cr3_without_exit", "loads",
        "loads of CR3 that needed no exit: the root is nested, or in the processor's cache of roots"),
};
static const struct nw_counter_row pml_rows[] = {
    ROW(pml.logged, "pml.logged", "pages", "guest pages put into the page-modification log"),
    ROW(pml.full_exits, "pml.full_exits", "exits", "exits because the log was full"),
};
static const struct nw_counter_row event_rows[] = {
    ROW(events.table_writes, "events.table_writes", "events", "recorded writes to guest page-table pages"),
    ROW(events.cr_writes, "events.cr_writes", "events", "recorded writes to control registers"),
    ROW(events.invlpg, "events.invlpg", "events", "recorded INVLPGs"),
    ROW(events.page_faults_recorded, "events.page_faults_recorded", "events", "page faults that the trace recorded"),
    ROW(events.page_faults_agreed, "events.page_faults_agreed", "events",
        "... that the model's tables raise for the same page with the same error code"),
    ROW(events.vm_exits, "events.vm_exits", "events", "VM exits that the trace recorded"),
    ROW(events.vm_exits_of_the_model, "events.vm_exits_of_the_model", "events",
        "... of reasons for which the model makes exits itself, and which are counted as it makes them"),
};
#define EXIT_COUNTER(field, unit, doc)                                                                                 \
    {                                                                                                                  \
#        field, unit, doc, offsetof(struct nw_result, exits[0].field) - offsetof(struct nw_result, exits[0])           \
    }
static const struct nw_counter_row exit_rows[] = {
    EXIT_COUNTER(count, "exits", "exits for this reason"),
    EXIT_COUNTER(cycles, "cycles", "what they cost"),
    EXIT_COUNTER(direct_cycles, "cycles", "... the switches to the VMM and back"),
    EXIT_COUNTER(synchronous_cycles, "cycles", "... its handling, while the guest waits"),
    EXIT_COUNTER(indirect_cycles, "cycles", "... the guest's slower execution afterwards"),
};
static const struct nw_counter_row memory_rows[] = {
    ROW(memory.guest_pages, "memory.guest_pages", "pages", "4 KiB of guest memory in use at the end"),
    ROW(memory.guest_table_pages, "memory.guest_table_pages", "pages", "... of it page-table pages"),
    ROW(memory.nested_table_pages, "memory.nested_table_pages", "pages", "4 KiB pages of second-stage tables"),
    ROW(memory.shadow_table_pages, "memory.shadow_table_pages", "pages", "4 KiB pages of shadow tables"),
};
static const struct nw_counter_row stale_rows[] = {
    ROW(stale.accesses, "stale.accesses", "accesses",
        "accesses that used a cached translation which the tables no longer granted"),
    ROW(stale.translations, "stale.translations", "translations", "the translations they used"),
};
static const struct nw_counter_row cycle_rows[] = {
    ROW(cycles.base, "cycles.base", "cycles", "what the accesses would cost with translation free"),
    ROW(cycles.translation, "cycles.translation", "cycles", "TLB hit latencies and walks, after overlap"),
    ROW(cycles.exits, "cycles.exits", "cycles", "exits to the VMM, and the imitation guest's own faults"),
    ROW(cycles.io, "cycles.io", "cycles", "drivers, mapping of their buffers, and copies"),
    ROW(cycles.total, "cycles.total", "cycles", "sum of these"),
    ROW(cycles.exits_direct, "cycles.exits_direct", "cycles", "of the exits: switches to the VMM and back"),
    ROW(cycles.exits_synchronous, "cycles.exits_synchronous", "cycles",
        "of the exits: the VMM's handling, while the guest waits"),
    ROW(cycles.exits_indirect, "cycles.exits_indirect", "cycles",
        "of the exits: the guest's slower execution after them"),
};
static const struct nw_counter_row io_rows[] = {
    ROW(io.packets, "iommu.packets", "packets", "packets or requests of devices"),
    ROW(io.bytes, "iommu.bytes", "bytes", "... their bytes"),
    ROW(io.maps, "iommu.maps", "calls", "buffers mapped by drivers"),
    ROW(io.unmaps, "iommu.unmaps", "calls", "buffers unmapped by drivers"),
    ROW(io.reuses, "iommu.reuses", "calls", "maps that changed no table"),
    ROW(io.pool_full, "iommu.pool_full", "calls", "maps that found the pool of bounce buffers full"),
    ROW(io.mapped_pages, "iommu.mapped_pages", "pages", "4 KiB pages of the buffers mapped"),
    ROW(io.mapped_twice, "iommu.mapped_twice", "calls",
        "maps of a name that was mapped already, which were left alone"),
    ROW(io.unmapped_unknown, "iommu.unmapped_unknown", "calls", "unmaps of what the trace never mapped"),
    ROW(io.entries_written, "iommu.entries_written", "entries", "words written to remapping tables"),
    ROW(io.table_pages, "iommu.table_pages", "pages", "pages of remapping tables at the end"),
    ROW(io.ranges_taken, "iommu.ranges_taken", "ranges", "ranges of device addresses given out"),
    ROW(io.ranges_fresh, "iommu.ranges_fresh", "ranges", "... that had never been used before"),
    ROW(io.range_invalidations, "iommu.range_invalidations", "invalidations", "invalidations of one range"),
    ROW(io.domain_invalidations, "iommu.domain_invalidations", "invalidations",
        "invalidations of a device's whole domain"),
    ROW(io.waits, "iommu.waits", "waits", "waits for invalidations"),
    ROW(io.announcements, "iommu.announcements", "writes",
        "writes of the queue's tail; exits when the unit is emulated"),
    ROW(io.copied_bytes, "iommu.copied_bytes", "bytes", "copied through pools and back ends"),
    ROW(io.grant_operations, "iommu.grant_operations", "copies", "grant copies"),
    ROW(io.pinned_pages_max, "iommu.pinned_pages_max", "pages", "4 KiB pages that devices held at a time, at most"),
    ROW(io.accessed_bytes, "iommu.accessed_bytes", "bytes", "read and written by devices, rings included"),
    ROW(io.requests, "iommu.requests", "requests", "requests of devices to memory"),
    ROW(io.faults, "iommu.faults", "requests", "... that were refused"),
    ROW(io.stray, "iommu.stray", "accesses", "accesses to what no driver had mapped"),
    ROW(io.dropped, "iommu.dropped", "accesses", "accesses to buffers that there was no room for"),
    ROW(io.iotlb_misses, "iommu.iotlb_misses", "requests", "requests that the IOTLB did not answer"),
    ROW(io.references, "iommu.references", "references", "words of remapping tables read for them"),
    ROW(io.stale_uses, "iommu.stale_uses", "requests", "requests that went by a mapping which had been removed"),
    ROW(io.stale_bytes, "iommu.stale_bytes", "bytes", "... what they moved"),
    ROW(io.exposures, "iommu.exposures", "pages", "pages that a device could still reach after they were unmapped"),
    ROW(io.exposed_ns, "iommu.exposed_ns", "ns", "... for how long, sum of those that are over"),
    ROW(io.exposed_max_ns, "iommu.exposed_max_ns", "ns", "... the longest"),
    ROW(io.exposed_open_pages, "iommu.exposed_open_pages", "pages", "... reachable still at the end"),
    ROW(io.kicks, "iommu.kicks", "notifications", "notifications of a paravirtual back end"),
    ROW(io.interrupts, "iommu.interrupts", "interrupts", "interrupts for the guest"),
    ROW(io.notifications, "iommu.notifications", "notifications", "of a hypervisor on another core, instead of exits"),
    ROW(io.cycles, "iommu.cycles", "cycles", "drivers, mapping of their buffers, and copies; without exits"),
    ROW(io.unit_ns, "iommu.unit_ns", "ns", "what the unit's walkers take for all references"),
    ROW(io.link_ns, "iommu.link_ns", "ns", "what the link takes for all packets"),
};
static const struct nw_counter_row tlb_rows[] = {
    NW_COUNTER(struct nw_tlb_counters, hits, "hits", "accesses", "look-ups this array answered"),
    NW_COUNTER(struct nw_tlb_counters, misses, "misses", "accesses",
               "look-ups its level did not answer, for translations this array holds"),
    NW_COUNTER(struct nw_tlb_counters, evictions, "evictions", "entries", "valid entries replaced"),
    NW_COUNTER(struct nw_tlb_counters, invalidated, "invalidated", "entries", "entries removed by invalidations"),
};
static const struct nw_counter_row hitmiss_rows[] = {
    NW_COUNTER(struct nw_hitmiss, hits, "hits", "look-ups", "look-ups answered"),
    NW_COUNTER(struct nw_hitmiss, misses, "misses", "look-ups", "look-ups not answered"),
};

static const char *const psc_level_name[NW_PSC_LEVELS] = { "pde", "pdpte", "pml4e", "pml5e" };

#define VISIT(rows, base, prefix) nw_counters_visit((rows), NW_ARRAY_LEN(rows), (base), (prefix), fn, context)

static void visit_derived(const char *path, const char *unit, const char *doc, double value, nw_metric_fn fn,
                          void *context)
{
    fn(context, &(struct nw_metric){
                    .path = path, .unit = unit, .doc = doc, .type = NW_METRIC_REAL, .derived = true, .real = value });
}

/* The rates that each of the three allows, in packets a second; 0: it sets no limit. */
static double link_rate(const struct nw_io_counters *io)
{
    return io->link_ns ? 1e9 * (double)io->packets / (double)io->link_ns : 0;
}
static double unit_rate(const struct nw_io_counters *io)
{
    return io->unit_ns ? 1e9 * (double)io->packets / (double)io->unit_ns : 0;
}
static double processor_rate(const struct nw_result *r)
{
    const double cycles = (double)(r->io.cycles + r->io.exit_cycles);
    return cycles > 0 ? r->config.cost.frequency_ghz * 1e9 * (double)r->io.packets / cycles : 0;
}

double nw_result_packets_per_second(const struct nw_result *r)
{
    const double rates[] = { link_rate(&r->io), unit_rate(&r->io), processor_rate(r) };
    double least = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(rates); i++)
        if (rates[i] > 0 && (least == 0 || rates[i] < least))
            least = rates[i];
    return least;
}

static void visit_io(const struct nw_result *r, nw_metric_fn fn, void *context)
{
    const struct nw_io_counters *io = &r->io;
    const double packets = io->packets ? (double)io->packets : 1, rate = nw_result_packets_per_second(r),
                 link = link_rate(io);
    const double pages = io->bytes ? (double)io->bytes / NW_PAGE_BYTES : 1;
    VISIT(io_rows, r, "");
    if (!io->packets)
        return;
    visit_derived("iommu.cycles_per_packet", "cycles", "processor cycles a packet or request, with the run's exits",
                  (double)(io->cycles + io->exit_cycles) / packets, fn, context);
    visit_derived("iommu.unit_ns_per_packet", "ns", "time of the unit's walkers for a packet or request",
                  (double)io->unit_ns / packets, fn, context);
    visit_derived("iommu.misses_per_page", "requests", "IOTLB misses for 4 KiB of packets' bytes",
                  (double)io->iotlb_misses / pages, fn, context);
    visit_derived("iommu.references_per_page", "references", "words of tables read for 4 KiB of packets' bytes",
                  (double)io->references / pages, fn, context);
    visit_derived("iommu.packets_per_second", "packets/s", "what the slowest of link, processor and unit allows", rate,
                  fn, context);
    visit_derived("iommu.throughput_gbps", "Gb/s", "... in bytes of packets",
                  rate * (double)io->bytes / packets * 8 / 1e9, fn, context);
    visit_derived("iommu.link_percent", "%", "... of what the link allows", link > 0 ? 100 * rate / link : 0, fn,
                  context);
    visit_derived("iommu.processor_percent", "%", "what the processor allows, of what the link allows",
                  link > 0 ? 100 * processor_rate(r) / link : 0, fn, context);
    visit_derived("iommu.unit_percent", "%",
                  "what the unit's walkers allow, of what the link allows; 0: they set no limit",
                  link > 0 ? 100 * unit_rate(io) / link : 0, fn, context);
}

static void visit_caches(const struct nw_result *r, nw_metric_fn fn, void *context)
{
    const struct nw_config *c = &r->config;
    char prefix[64];
    for (size_t i = 0; i < NW_PSC_LEVELS; i++)
        if (c->psc_guest[i].entries || (!i && c->guest_pde_in_tlb)) {
            snprintf(prefix, sizeof prefix, "psc.guest_%s.", psc_level_name[i]);
            VISIT(hitmiss_rows, &r->psc_guest[i], prefix);
        }
    for (size_t i = 0; i < NW_PSC_LEVELS; i++)
        if (c->psc_nested[i].entries) {
            snprintf(prefix, sizeof prefix, "psc.nested_%s.", psc_level_name[i]);
            VISIT(hitmiss_rows, &r->psc_nested[i], prefix);
        }
    if (c->nested_tlb.entries || c->nested_tlb_in_tlb)
        VISIT(hitmiss_rows, &r->nested_tlb, "nested_tlb.");
    if (c->fidelity == NW_FIDELITY_TLB)
        return;
    for (size_t i = 0; i < c->cache_count; i++) {
        snprintf(prefix, sizeof prefix, "memory_hierarchy.%s.", c->cache[i].name);
        VISIT(hitmiss_rows, &r->cache[i], prefix);
    }
    static const struct nw_counter_row dram[] = {
        ROW(memory_references, "memory_hierarchy.dram.references", "references",
            "page-table references that no cache answered"),
    };
    VISIT(dram, r, "");
    if (c->fidelity != NW_FIDELITY_FULL)
        return;
    for (size_t i = 0; i < c->cache_count; i++) {
        snprintf(prefix, sizeof prefix, "data_lines.%s.", c->cache[i].name);
        VISIT(hitmiss_rows, &r->data_cache[i], prefix);
    }
    static const struct nw_counter_row data_dram[] = {
        ROW(data_memory, "data_lines.dram.accesses", "accesses", "accesses whose line no cache had"),
    };
    VISIT(data_dram, r, "");
}

static void visit_exits(const struct nw_result *r, nw_metric_fn fn, void *context)
{
    char prefix[64];
    for (size_t i = 0; i < NW_EXIT_COUNT; i++) {
        snprintf(prefix, sizeof prefix, "exits.%s.", nw_exit_name[i]);
        if (r->exits[i].count)
            VISIT(exit_rows, &r->exits[i], prefix);
    }
}

void nw_result_visit(const struct nw_result *r, nw_metric_fn fn, void *context)
{
    char prefix[64];
    VISIT(access_rows, r, "");
    for (size_t i = 0; i < r->config.tlb_count; i++) {
        snprintf(prefix, sizeof prefix, "tlb.%s.", r->config.tlb[i].name);
        VISIT(tlb_rows, &r->tlb[i], prefix);
    }
    VISIT(walk_rows, r, "");
    visit_derived("walks.references_per_walk", "references", "references over walks", nw_result_references_per_walk(r),
                  fn, context);
    if (r->config.walker.prefetch != NW_PREFETCH_NONE)
        VISIT(prefetch_rows, r, "");
    visit_caches(r, fn, context);
    VISIT(fault_rows, r, "");
    visit_exits(r, fn, context);
    if (r->io.packets || r->config.iommu.kind != NW_IOMMU_NONE)
        visit_io(r, fn, context);
    if (r->config.mode == NW_MODE_SHADOW || r->config.mode == NW_MODE_AGILE)
        VISIT(shadow_rows, r, "");
    if (r->config.mode == NW_MODE_AGILE)
        VISIT(agile_rows, r, "");
    if (r->config.mode == NW_MODE_SHADOW && r->config.vmm.shadow_policy == NW_SHADOWING_KVM)
        nw_counters_visit(nw_kvm_counter_row, NW_KVM_COUNTERS, &r->kvm, "shadow.", fn, context);
    if (r->config.mode == NW_MODE_DIRECT)
        nw_counters_visit(nw_direct_counter_row, NW_DIRECT_COUNTERS, &r->direct, "direct.", fn, context);
    if (r->config.vmm.pml && (r->config.mode == NW_MODE_NESTED || r->config.mode == NW_MODE_AGILE))
        VISIT(pml_rows, r, "");
    VISIT(event_rows, r, "");
    VISIT(memory_rows, r, "");
    if (r->config.detect_stale)
        VISIT(stale_rows, r, "");
    VISIT(cycle_rows, r, "");
    visit_derived("overhead_percent", "percent", "cycles beyond base, in percent of base",
                  nw_result_overhead_percent(r), fn, context);
    visit_derived("replay.seconds", "s", "processor time of the replay", r->seconds, fn, context);
    visit_derived("replay.accesses_per_second", "accesses/s", "replay speed in processor time", r->accesses_per_second,
                  fn, context);
}

double nw_result_overhead_percent(const struct nw_result *r)
{
    return r->cycles.base ? 100.0 * (double)(r->cycles.total - r->cycles.base) / (double)r->cycles.base : 0.0;
}

double nw_result_references_per_walk(const struct nw_result *r)
{
    return r->walks.count ? (double)r->walks.references / (double)r->walks.count : 0.0;
}

/* ---- comparison ---- */

struct metric_list {
    struct {
        char path[96];
        uint64_t count;
    } * item;
    size_t count, capacity;
};

static void collect(void *context, const struct nw_metric *m)
{
    struct metric_list *l = context;
    if (m->derived || m->type != NW_METRIC_COUNT)
        return;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 128;
        void *bigger = reallocarray(l->item, capacity, sizeof *l->item);
        if (!bigger)
            return;
        l->item = bigger;
        l->capacity = capacity;
    }
    snprintf(l->item[l->count].path, sizeof l->item[0].path, "%s", m->path);
    l->item[l->count++].count = m->count;
}

bool nw_result_differ(const struct nw_result *a, const struct nw_result *b, char *out, size_t out_size)
{
    struct metric_list la = { 0 }, lb = { 0 };
    bool differ = false;
    nw_result_visit(a, collect, &la);
    nw_result_visit(b, collect, &lb);
    for (size_t i = 0; !differ && (i < la.count || i < lb.count); i++) {
        if (i >= la.count || i >= lb.count || strcmp(la.item[i].path, lb.item[i].path)) {
            snprintf(out, out_size, "metric %zu is %s on one side and %s on the other", i,
                     i < la.count ? la.item[i].path : "absent", i < lb.count ? lb.item[i].path : "absent");
            differ = true;
        } else if (la.item[i].count != lb.item[i].count) {
            snprintf(out, out_size, "%s: %" PRIu64 " against %" PRIu64, la.item[i].path, la.item[i].count,
                     lb.item[i].count);
            differ = true;
        }
    }
    for (size_t i = 0; !differ && i < NW_HISTOGRAM_BUCKETS; i++)
        if (a->walks.histogram[i] != b->walks.histogram[i]) {
            snprintf(out, out_size, "walk latency histogram, bucket %zu: %" PRIu64 " against %" PRIu64, i,
                     a->walks.histogram[i], b->walks.histogram[i]);
            differ = true;
        }
    free(la.item);
    free(lb.item);
    return differ;
}

void nw_result_fini(struct nw_result *r)
{
    free(r->stale.use);
    r->stale.use = NULL;
    nw_config_fini(&r->config);
}
