/* device.h - what a host swaps to, and what guests' disks are on: when a request is done.
 *
 *     struct nw_swap_device d;
 *     nw_swap_device_init(&d, &nw_swap_device_kinds[NW_SWAP_NVME].timing, seed, "swap");
 *     done_ns = nw_swap_device_request(&d, now_ns, false, slot, 8);
 *
 * A device serves as many requests at a time as it has channels, each in the order of arrival. A request takes its latency, drawn anew each time, the
 * time for its bytes, and a seek when its first page does not follow the last page of the channel's request before.
 *
 * The latency is fixed by a share 1 - v and exponentially distributed by a share v, with the mean as given: v = 0 is a constant. */
#ifndef NESTWALK_SWAP_DEVICE_H
#define NESTWALK_SWAP_DEVICE_H

#include <nestwalk/base/rng.h>
#include <stdbool.h>
#include <stdint.h>

enum nw_swap_device_kind {
    NW_SWAP_NVME,
    NW_SWAP_SATA_SSD,
    NW_SWAP_DISK,
    NW_SWAP_ZSWAP,
    NW_SWAP_REMOTE,
    NW_SWAP_ZRAM,
    NW_SWAP_DEVICE_KINDS
};

struct nw_swap_timing {
    double read_ns, write_ns; /* mean latency of a request */
    double seek_ns;           /* mean, when it does not continue the one before */
    double variation;         /* v, 0 to 1 */
    double bytes_per_ns;      /* transfer; 0: costs nothing */
    unsigned channels;        /* 1 to NW_SWAP_CHANNELS_MAX */
};
struct nw_swap_device_info {
    const char *name, *doc, *source;
    struct nw_swap_timing timing;
};
/* zswap's and zram's timing is that of (de)compression. What zswap cannot hold goes to a device behind it; zram has none. */
extern const struct nw_swap_device_info nw_swap_device_kinds[NW_SWAP_DEVICE_KINDS];

enum { NW_SWAP_CHANNELS_MAX = 64 };
struct nw_swap_device {
    struct nw_swap_timing timing;
    struct nw_rng rng;
    uint64_t free_ns[NW_SWAP_CHANNELS_MAX], next_page[NW_SWAP_CHANNELS_MAX];
    uint64_t reads, writes, read_pages, written_pages, seeks; /* counters */
    uint64_t busy_ns, queued_ns;                              /* of all channels; of all requests before they began */
};

void nw_swap_device_init(struct nw_swap_device *d, const struct nw_swap_timing *timing, uint64_t seed,
                         const char *component);
/* One request for `pages` successive pages from `first` on, made at now_ns. When it is done. */
uint64_t nw_swap_device_request(struct nw_swap_device *d, uint64_t now_ns, bool write, uint64_t first, unsigned pages);

#endif
