/* vms_params.c - the table of parameters of several guests on one host: one row each. See vms.h. */
#include <nestwalk/sim/vms.h>

static const char *const device_choices[] = { "nvme", "sata-ssd", "disk", "zswap", "remote", "zram", NULL };
static const char *const disk_choices[] = { "nvme", "sata-ssd", "disk", NULL };
static const char *const policy_choices[] = { "lru",   "fifo",     "clock", "random",         "arc", "s3fifo",
                                              "sieve", "two-list", "mglru", "guest-informed", NULL };
static const char *const scope_choices[] = { "host", "vm", NULL };
static const char *const sees_choices[] = { "scans", "accesses", NULL };
static const char *const sharing_choices[] = { "none", "ksm", "hints", NULL };
static const char *const balloon_choices[] = { "none",     "shares",          "idle-tax", "working-set", "tracking",
                                               "slowdown", "slowdown-target", "mom",      NULL };
static const char *const dirty_choices[] = { "flags", "write-protection", "pml", NULL };
static const char *const fidelity_choices[] = { "page", "walk", NULL };
static const char *const unit_choices[] = { "4K", "2M", NULL };
static const char *const reporting_choices[] = { "none", "4K", "2M", NULL };
static const char *const estimator_choices[] = { "own", "scan", "sampling", "ghost", "damon", "exact", NULL };
static const char *const generator_choices[] = {
    "none", "uniform", "zipf", "sequential", "pointer-chase", "gups", NULL
};

static const double BYTES_MAX = 0x1p52, NS_MAX = 0x1p62, NS_SHORT = 1e9;

#define AT(struct_, field_) offsetof(struct struct_, field_)
#define ROW(type_, path_, struct_, field_, unit_, min_, max_, initial_, doc_)                                          \
    {                                                                                                                  \
        .path = (path_), .type = (type_), .group = NW_GROUP_VMM, .unit = (unit_), .min = (min_), .max = (max_),        \
        .initial = (initial_), .doc = (doc_), .offset = AT(struct_, field_)                                            \
    }
#define COUNT(path_, struct_, field_, unit_, min_, max_, initial_, doc_)                                               \
    ROW(NW_PARAM_COUNT, path_, struct_, field_, unit_, min_, max_, initial_, doc_)
#define BYTES(path_, struct_, field_, min_, max_, initial_, doc_)                                                      \
    ROW(NW_PARAM_BYTES, path_, struct_, field_, "bytes", min_, max_, initial_, doc_)
#define REAL(path_, struct_, field_, unit_, min_, max_, initial_, doc_)                                                \
    ROW(NW_PARAM_REAL, path_, struct_, field_, unit_, min_, max_, initial_, doc_)
#define BOOL(path_, struct_, field_, initial_, doc_)                                                                   \
    ROW(NW_PARAM_BOOL, path_, struct_, field_, "", 0, 1, initial_, doc_)
#define CHOICE(path_, struct_, field_, choices_, initial_, doc_)                                                       \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_CHOICE, .group = NW_GROUP_VMM, .unit = "", .choices = (choices_),            \
        .initial = (initial_), .doc = (doc_), .offset = AT(struct_, field_)                                            \
    }
#define TEXT(path_, struct_, field_, doc_)                                                                             \
    {                                                                                                                  \
        .path = (path_), .type = NW_PARAM_TEXT, .group = NW_GROUP_VMM, .unit = "", .initial = "", .doc = (doc_),       \
        .offset = AT(struct_, field_), .size = sizeof(((struct struct_ *)0)->field_)                                   \
    }

static const struct nw_param table[] = {
    BYTES("host.memory", nw_vms_host, memory, 1 << 20, 0x1p43, "1G",
          "frames of 4 KiB that guests, their tables and what the host keeps for them have"),
    COUNT("host.cores", nw_vms_host, cores, "cores", 1, 512, "1",
          "cores that serve guests; each guest has one virtual processor"),
    COUNT("host.quantum_ns", nw_vms_host, quantum_ns, "ns", 1000, NS_SHORT, "1000000",
          "how long a guest keeps a core while others wait"),
    COUNT("host.timeline_ns", nw_vms_host, timeline_ns, "ns", 0, NS_MAX, "100000000",
          "between two samples of all guests; 0: none"),
    COUNT("host.until_ns", nw_vms_host, until_ns, "ns", 0, NS_MAX, "0",
          "the run is stopped there; 0: when the last guest has finished"),
    REAL("host.fault_ns", nw_vms_host, fault_ns, "ns", 0, NS_SHORT, "1500",
         "an EPT violation that is served from free memory: exit, frame, zeros, entry"),
    REAL("host.break_ns", nw_vms_host, break_ns, "ns", 0, NS_SHORT, "2500",
         "a store to a shared page: exit, frame, copy, flush, entry"),
    REAL("host.flush_ns", nw_vms_host, flush_ns, "ns", 0, NS_SHORT, "1000",
         "making a guest's processor forget pages: one for each batch of up to 32 that are taken from it"),
    REAL("host.scan_page_ns", nw_vms_host, scan_page_ns, "ns", 0, NS_SHORT, "20",
         "looking at one accessed flag and clearing it"),
    REAL("host.pml_exit_ns", nw_vms_host, pml_exit_ns, "ns", 0, NS_SHORT, "7000",
         "the exit of a full page-modification log and reading its 512 entries"),
    REAL("host.low", nw_vms_host, low, "", 0, 0.5, "0.01", "share of the frames below which the host takes pages"),
    REAL("host.high", nw_vms_host, high, "", 0, 0.5, "0.015", "share of the frames up to which it does so"),
    CHOICE("host.disk", nw_vms_host, disk, disk_choices, "nvme",
           "what the guests' disks are on: files and the guests' own swap areas"),
    COUNT("host.tlb_entries", nw_vms_host, tlb_entries, "entries", 0, 1e6, "0",
          "translations of 4 KiB that a guest's processor keeps (4 ways, LRU), whose use sets no accessed flag; 0: "
          "each access sets it, and with host.fidelity=walk 1536 of 12 ways"),
    CHOICE("host.fidelity", nw_vms_host, fidelity, fidelity_choices, "page",
           "page: which pages are there; walk: the guests' and the host's tables too, with TLBs, and what walks take"),
    CHOICE(
        "host.backing", nw_vms_host, backing, unit_choices, "4K",
        "what a first touch is given: a page, or the 2 MiB around it while that many frames are free above host.high"),
    REAL("host.clear_large_ns", nw_vms_host, clear_large_ns, "ns", 0, NS_SHORT, "100000",
         "clearing 2 MiB (assumed: 20 GB/s)"),
    REAL("host.copy_large_ns", nw_vms_host, copy_large_ns, "ns", 0, NS_SHORT, "200000",
         "khugepaged: copying what a group of 2 MiB holds (assumed: 10 GB/s)"),
    COUNT("host.collapse_pages", nw_vms_host, collapse_pages, "pages", 0, 1e9, "0",
          "khugepaged, with host.backing=2M: so many pages are looked at each time, and groups of 512 that one mapping "
          "can back are put together again; 0: never (Linux: 4096)"),
    COUNT("host.collapse_sleep_ns", nw_vms_host, collapse_sleep_ns, "ns", 1000, NS_MAX, "10000000000",
          "khugepaged: between two times (Linux: 10 s)"),
    COUNT("host.max_ptes_none", nw_vms_host, max_ptes_none, "pages", 0, 511, "511",
          "khugepaged: of a group, that have no frame and get one, also those in the balloon"),
    COUNT("host.max_ptes_swap", nw_vms_host, max_ptes_swap, "pages", 0, 511, "64",
          "khugepaged: that are swapped and read"),
    COUNT("host.max_ptes_shared", nw_vms_host, max_ptes_shared, "pages", 0, 511, "256",
          "khugepaged: that are shared and copied"),
    REAL("host.reference_ns", nw_vms_host, reference_ns, "ns", 0, NS_SHORT, "10",
         "walk: reading an entry of a table (assumed: from the last-level cache)"),

    BYTES("swap.size", nw_vms_swap, size, 0, 0x1p43, "8G", "the host's swap area; 0: none"),
    CHOICE("swap.device", nw_vms_swap, device, device_choices, "nvme", "what it is on"),
    CHOICE("swap.policy", nw_vms_swap, policy, policy_choices, "two-list",
           "which page goes; guest-informed: what the guest itself has not used, free pages first, and nothing is read "
           "in only to be paged out by the guest"),
    CHOICE("swap.scope", nw_vms_swap, scope, scope_choices, "host",
           "one policy over all guests' pages, or one a guest, of which the guest gives that is furthest above what it "
           "may have"),
    CHOICE("swap.sees", nw_vms_swap, sees, sees_choices, "scans",
           "what the policy knows: accessed flags, read and cleared every swap.scan_ns, or each access (which no host "
           "does)"),
    COUNT("swap.scan_ns", nw_vms_swap, scan_ns, "ns", 1000, NS_MAX, "100000000",
          "between two scans of the accessed flags of all resident pages"),
    BOOL(
        "swap.scan_flush", nw_vms_swap, scan_flush, "0",
        "a scan flushes the guests' TLBs, so that the flags of cached translations are set again (counted and priced)"),
    COUNT("swap.read_ahead", nw_vms_swap, read_ahead, "pages", 1, 512, "8",
          "slots read together: the aligned group around the one that is wanted"),
    BOOL("swap.shared_disk", nw_vms_swap, shared_disk, "0",
         "the swap area is on the disk of the guests' disks; swap.device is not used"),
    BOOL("swap.mapper", nw_vms_swap, mapper, "0",
         "VSWAPPER's Mapper: pages that are as on the guest's disk are dropped, and read again from there"),
    BOOL("swap.preventer", nw_vms_swap, preventer, "0",
         "VSWAPPER's Preventer: a swapped page that is overwritten as a whole is not read in before"),
    COUNT("swap.cluster", nw_vms_swap, cluster, "pages", 1, 512, "32",
          "pages that are taken together and written together: neighbours in the swap area as one request"),
    CHOICE("swap.dirty", nw_vms_swap, dirty, dirty_choices, "flags",
           "how the host learns that a page has changed since it was read in: the dirty flag, which costs nothing; a "
           "fault at the first store; "
           "a log of 512 pages that exits when it is full"),
    REAL("swap.zswap_pool", nw_vms_swap, zswap_pool, "", 0.01, 0.9, "0.2",
         "zswap, zram: share of the host's frames that hold compressed pages at most"),
    REAL("swap.zswap_ratio", nw_vms_swap, zswap_ratio, "", 1, 64, "3",
         "zswap, zram: mean ratio of compression of pages that are not zeros"),

    CHOICE("sharing.kind", nw_vms_sharing, kind, sharing_choices, "none", "KSM, or ESX's hash hints"),
    COUNT("sharing.pages_to_scan", nw_vms_sharing, pages_to_scan, "pages", 1, 1e9, "100", "looked at each time"),
    COUNT("sharing.sleep_ns", nw_vms_sharing, sleep_ns, "ns", 1000, NS_MAX, "20000000", "between two times"),
    BOOL("sharing.use_zero_pages", nw_vms_sharing, use_zero_pages, "0",
         "KSM: pages of zeros go behind one frame without limit"),
    BOOL("sharing.smart_scan", nw_vms_sharing, smart_scan, "1",
         "KSM: passes over pages that could not be merged again and again"),
    COUNT("sharing.max_page_sharing", nw_vms_sharing, max_page_sharing, "pages", 2, 1e9, "256",
          "users of one frame at most"),
    REAL("sharing.page_ns", nw_vms_sharing, page_ns, "ns", 0, NS_SHORT, "1000",
         "processor time to look at a page: checksum and comparisons"),

    CHOICE("balloon.policy", nw_vms_balloon, policy, balloon_choices, "none", "who should have how much"),
    COUNT("balloon.interval_ns", nw_vms_balloon, interval_ns, "ns", 1000, NS_MAX, "1000000000",
          "between two decisions"),
    COUNT("balloon.batch_pages", nw_vms_balloon, batch_pages, "pages", 1, 1e6, "256",
          "of one request of the guest's driver"),
    REAL("balloon.batch_ns", nw_vms_balloon, batch_ns, "ns", 0, 1e12, "200000", "between two of its requests"),
    CHOICE("balloon.unit", nw_vms_balloon, unit, unit_choices, "4K",
           "what the guest's driver gives: single pages, or 2 MiB of its memory while it has any that are free as a "
           "whole, so that others stay whole"),
    BOOL("balloon.deflate_on_oom", nw_vms_balloon, deflate_on_oom, "1",
         "a guest that is out of memory takes a batch back"),
    CHOICE("balloon.estimator", nw_vms_balloon, estimator, estimator_choices, "own",
           "who says what guests' working sets are: the balloon's own samples, a monitor that is on, or the simulator"),
    CHOICE("balloon.reporting", nw_vms_balloon, reporting, reporting_choices, "none",
           "free page reporting: single pages, or 2 MiB of them"),
    COUNT("balloon.reporting_ns", nw_vms_balloon, reporting_ns, "ns", 1000, NS_MAX, "2000000000",
          "between two reports"),
    BOOL("balloon.hinting", nw_vms_balloon, hinting, "0",
         "free page hinting: a host that begins to take pages asks for what is free in blocks of 4 MiB, and has it a "
         "request later"),
    COUNT("balloon.stats_ns", nw_vms_balloon, stats_ns, "ns", 0, NS_MAX, "0",
          "statistics queue: between two reports of how much a guest uses; 0: the host knows at once, which none does"),
    COUNT("balloon.sample_pages", nw_vms_balloon, sample_pages, "pages", 1, 1e6, "100",
          "pages that are watched an interval to estimate the working set"),
    REAL("balloon.tax", nw_vms_balloon, tax, "", 0, 0.999, "0.75",
         "idle-tax: an idle page costs 1 / (1 - tax) active ones"),
    REAL("balloon.slack", nw_vms_balloon, slack, "", 0, 10, "0.1", "working-set: pages beyond it, as a share of it"),
    REAL("balloon.low", nw_vms_balloon, low, "", 0, 1, "0.04", "tracking: inflates below this share of free frames"),
    REAL("balloon.high", nw_vms_balloon, high, "", 0, 1, "0.08", "tracking: deflates above this share"),
    REAL("balloon.step", nw_vms_balloon, step, "", 0.001, 1, "0.1",
         "tracking, mom, slowdown, slowdown-target: share of a guest that moves at once, at most"),
    REAL("balloon.pressure", nw_vms_balloon, pressure, "", 0, 1, "0.2",
         "mom: below this share of free frames guests shrink"),
    REAL("balloon.critical", nw_vms_balloon, critical, "", 0, 1, "0.05",
         "mom: below it they shrink into what they use"),
    REAL("balloon.guest_free", nw_vms_balloon, guest_free, "", 0, 1, "0.2",
         "mom: share of a guest that is left free while the host is under no pressure"),
    COUNT("balloon.history", nw_vms_balloon, history, "reports", 1, NW_VMS_HISTORY_MAX, "10",
          "mom: reports of the statistics queue that are averaged"),
    REAL("balloon.goal", nw_vms_balloon, goal, "", 1, 1000, "1.1", "slowdown-target: what a guest may be slowed"),

    BOOL("monitor.scan", nw_vms_monitor, on[0], "0", "estimates working sets by reading and clearing accessed flags"),
    BOOL("monitor.sampling", nw_vms_monitor, on[1], "0",
         "by unmapping some pages and counting the faults, as ESX does"),
    BOOL("monitor.ghost", nw_vms_monitor, on[2], "0", "by the pages that come back after they were taken"),
    BOOL("monitor.damon", nw_vms_monitor, on[3], "0", "by regions that are merged and split, as Linux's DAMON does"),
    COUNT("monitor.window_ns", nw_vms_monitor, window_ns, "ns", 1000, NS_MAX, "100000000",
          "a working set is what was used in such a time"),
    COUNT("monitor.every", nw_vms_monitor, every, "pages", 1, 1e6, "1",
          "scan: looks at every so many-th page, from another one on each time"),
    BOOL("monitor.flush", nw_vms_monitor, flush, "1",
         "scan: flushes the guest's TLB, so that the flags of cached translations are set again"),
    COUNT("monitor.sample_pages", nw_vms_monitor, sample_pages, "pages", 1, 1e6, "100", "sampling: unmapped a window"),
    COUNT("monitor.damon_samples", nw_vms_monitor, damon_samples, "looks", 1, 1e6, "20",
          "damon: at each region a window"),
    COUNT("monitor.min_regions", nw_vms_monitor, min_regions, "regions", 3, 1e6, "10", "damon: at least"),
    COUNT("monitor.max_regions", nw_vms_monitor, max_regions, "regions", 3, 1e6, "1000", "damon: at most"),
    BOOL("monitor.charge", nw_vms_monitor, charge, "1",
         "what monitors cost is taken from cores and guests; 0: it is counted only"),
    REAL("monitor.mrc_rate", nw_vms_monitor, mrc_rate, "", 0, 1, "0",
         "a miss-ratio curve of each guest from this part of its pages; 0: none"),

    COUNT("vm.count", nw_vms_guest, count, "guests", 1, NW_VMS_GUESTS_MAX, "1",
          "so many of this kind, with seeds and offsets of their own"),
    BYTES("vm.memory", nw_vms_guest, memory, 1 << 20, 0x1p43, "256M", "what the guest believes to have"),
    BYTES("vm.min", nw_vms_guest, min, 0, BYTES_MAX, "0", "reservation: the host leaves it this much of it"),
    BYTES("vm.max", nw_vms_guest, max, 0, BYTES_MAX, "0", "limit: it never has more than that; 0: its memory"),
    COUNT("vm.shares", nw_vms_guest, shares, "shares", 1, 1e9, "1000", "its part of memory among others"),
    COUNT("vm.weight", nw_vms_guest, weight, "", 1, 1e6, "1024", "its part of the cores among others"),
    COUNT("vm.start_ns", nw_vms_guest, start_ns, "ns", 0, NS_MAX, "0",
          "when it starts; with a count, each after the one before by as much again"),
    BYTES("vm.swap", nw_vms_guest, swap, 0, 0x1p43, "1G", "the guest's own swap area, on its disk"),
    BYTES("vm.pinned", nw_vms_guest, pinned, 0, BYTES_MAX, "0", "of its memory, pinned for a device from the start"),
    COUNT("vm.read_ahead", nw_vms_guest, read_ahead, "pages", 1, 512, "32",
          "of a file that the guest reads at once when it reads in sequence"),
    COUNT("vm.swap_read_ahead", nw_vms_guest, swap_read_ahead, "pages", 1, 512, "8",
          "of its swap area that the guest reads at once at the most: as many as were of use lately (Linux)"),
    BYTES("vm.hypervisor", nw_vms_guest, hypervisor, 0, 1 << 30, "0",
          "code and data of its VMM process that come from a file; each request to the guest's disk uses a part"),
    BYTES("vm.balloon", nw_vms_guest, balloon, 0, BYTES_MAX, "0",
          "in the balloon from the start, when there is no policy"),
    REAL("vm.kernel", nw_vms_guest, kernel, "", 0, 0.9, "0.03",
         "share of its memory that its kernel takes at the start and keeps"),
    TEXT("vm.image", nw_vms_guest, image,
         "guests of one image have the same kernel, files and common pages; default: the name"),
    REAL("vm.zero", nw_vms_guest, zero, "", 0, 1, "0", "share of anonymous pages that stay zeros, whatever is stored"),
    REAL("vm.common", nw_vms_guest, common, "", 0, 1, "0",
         "share of anonymous pages whose first content is the same in all guests of the image"),

    TEXT("work.trace", nw_vms_work, trace, "the trace to replay; or generate one"),
    CHOICE("work.generate", nw_vms_work, generate, generator_choices, "none",
           "a generated trace, as nestwalk gen makes it"),
    COUNT("work.accesses", nw_vms_work, accesses, "accesses", 0, 1e15, "0",
          "how many; 0: all of a trace, 1M of a generated one"),
    BYTES("work.span", nw_vms_work, span, 4096, 0x1p46, "64M", "generated: footprint"),
    BYTES("work.stride", nw_vms_work, stride, 8, 0x1p40, "4096", "generated: of sequential, node of pointer-chase"),
    BYTES("work.base", nw_vms_work, base, 0, 0x1p46, "0", "added to every address"),
    COUNT("work.seed", nw_vms_work, seed, "", 0, 0x1p62, "0",
          "generated: added to the run's seed and the guest's number"),
    COUNT("work.skip", nw_vms_work, skip, "accesses", 0, 1e15, "0",
          "that are left out at the beginning; with a count, each guest so many more"),
    COUNT("work.repeat", nw_vms_work, repeat, "times", 1, 1e9, "1", "the same again, in the same memory"),
    COUNT("work.start_ns", nw_vms_work, start_ns, "ns", 0, NS_MAX, "0", "not before this time of the guest"),
    COUNT("work.stagger_ns", nw_vms_work, stagger_ns, "ns", 0, NS_MAX, "0",
          "added to it; with a count, each guest so much later than the one before"),
    COUNT("work.memory_of", nw_vms_work, memory_of, "", 0, 1e6, "0",
          "0: it has memory, or a file, of its own; else it goes on in that of this work of the guest, counted from 1"),
    BOOL("work.file", nw_vms_work, file, "0", "the accesses are to a file on the guest's disk"),
    BOOL("work.keep", nw_vms_work, keep, "1",
         "its memory stays when it is done, 0: it is given back to the guest's kernel"),
    REAL("work.exponent", nw_vms_work, exponent, "", 0, 16, "0.99", "generated: of zipf"),
    REAL("work.stores", nw_vms_work, stores, "", 0, 1, "0.3", "generated: share of stores (gups: half)"),
    REAL("work.access_ns", nw_vms_work, access_ns, "ns", 0.1, 1e12, "100",
         "what an access takes when its page is there, with the work that goes with it"),
    REAL("work.pause_ns", nw_vms_work, pause_ns, "ns", 0, 1e12, "0",
         "what the guest sleeps after each access, while others have its core"),
};

const struct nw_param *nw_vms_params(size_t *count)
{
    *count = NW_ARRAY_LEN(table);
    return table;
}
