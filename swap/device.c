/* device.c - see device.h. */
#include <math.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/swap/device.h>

/* Round figures of the size that data sheets and papers give for the class of device; none is measured here. */
const struct nw_swap_device_info nw_swap_device_kinds[NW_SWAP_DEVICE_KINDS] = {
    [NW_SWAP_NVME] = { "nvme",
                       "an NVMe SSD",
                       "assumed: round figures of data sheets",
                       { .read_ns = 80e3, .write_ns = 20e3, .variation = 0.3, .bytes_per_ns = 3, .channels = 16 } },
    [NW_SWAP_SATA_SSD] = { "sata-ssd",
                           "a SATA SSD",
                           "assumed: round figures of data sheets",
                           { .read_ns = 120e3,
                             .write_ns = 60e3,
                             .variation = 0.3,
                             .bytes_per_ns = 0.5,
                             .channels = 4 } },
    [NW_SWAP_DISK] = { "disk",
                       "a disk of 7,200 turns a minute",
                       "assumed: half a turn, 4.2 ms, and a seek of 4.3 ms",
                       { .read_ns = 100e3,
                         .write_ns = 100e3,
                         .seek_ns = 8.5e6,
                         .variation = 0.3,
                         .bytes_per_ns = 0.12,
                         .channels = 1 } },
    [NW_SWAP_ZSWAP] = { "zswap",
                        "memory, compressed; then an NVMe SSD",
                        "assumed: LZ4 at about 1 GB/s out and 2 GB/s in",
                        { .read_ns = 2e3, .write_ns = 4e3, .channels = 64 } },
    [NW_SWAP_REMOTE] = { "remote",
                         "another machine's memory, by RDMA",
                         "assumed: a round trip of RDMA and software",
                         { .read_ns = 8e3, .write_ns = 8e3, .variation = 0.3, .bytes_per_ns = 5, .channels = 16 } },
    [NW_SWAP_ZRAM] = { "zram",
                       "memory, compressed; full when its share of the frames is",
                       "assumed: LZ4 at about 1 GB/s out and 2 GB/s in",
                       { .read_ns = 2e3, .write_ns = 4e3, .channels = 64 } },
};

void nw_swap_device_init(struct nw_swap_device *d, const struct nw_swap_timing *timing, uint64_t seed,
                         const char *component)
{
    *d = (struct nw_swap_device){ .timing = *timing, .rng = nw_rng_for(seed, component) };
    for (unsigned i = 0; i < NW_SWAP_CHANNELS_MAX; i++)
        d->next_page[i] = UINT64_MAX;
}

static double drawn(struct nw_swap_device *d, double mean)
{
    const double v = d->timing.variation;
    return v > 0 ? mean * (1 - v - v * log1p(-nw_rng_unit(&d->rng))) : mean;
}

uint64_t nw_swap_device_request(struct nw_swap_device *d, uint64_t now_ns, bool write, uint64_t first, unsigned pages)
{
    unsigned channel = 0;
    for (unsigned i = 1; i < d->timing.channels; i++)
        if (d->free_ns[i] < d->free_ns[channel])
            channel = i;
    const uint64_t begin = d->free_ns[channel] > now_ns ? d->free_ns[channel] : now_ns;
    double ns = drawn(d, write ? d->timing.write_ns : d->timing.read_ns);
    if (d->timing.bytes_per_ns > 0)
        ns += (double)(pages * NW_PAGE_BYTES) / d->timing.bytes_per_ns;
    if (d->next_page[channel] != first) {
        d->seeks++;
        if (d->timing.seek_ns > 0)
            ns += drawn(d, d->timing.seek_ns);
    }
    d->next_page[channel] = first + pages;
    d->free_ns[channel] = begin + (uint64_t)ns;
    d->busy_ns += (uint64_t)ns;
    d->queued_ns += begin - now_ns;
    *(write ? &d->writes : &d->reads) += 1;
    *(write ? &d->written_pages : &d->read_pages) += pages;
    return d->free_ns[channel];
}
