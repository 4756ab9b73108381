/* generate_io.h - traces of devices' DMA as drivers arrange it: no accesses of the processor, only events. Nothing is stored; same options, same
 * events.
 *
 *   nic          a network card with queues of a receive and a transmit ring
 *   nvme         a disk with submission and completion queues; buffers of more than two pages are told by a PRP list
 *   virtio-net   a paravirtual network device: split rings, one descriptor a buffer behind a header of 12 bytes
 *   virtio-blk   a paravirtual disk: chains of a header, the data, and a status byte
 *
 *     struct nw_generate_io_options o;
 *     nw_generate_io_defaults(&o);
 *     o.requests = 100000;
 *     s = nw_io_generator_find("nic")->open(&source, &o, err);
 *
 * What a trace says (docs/dma-traces.md): maps and unmaps as the driver calls dma_map_single() and dma_unmap_single(), named by the buffer's
 * physical address; the device's reads and writes of rings and buffers; when a packet or request begins and ends. It
 * says nothing of an IOMMU: what a mapping costs, and what address it gets, is the replay's doing. Rings are mapped once, at the start. */
#ifndef NESTWALK_TRACES_GENERATE_IO_H
#define NESTWALK_TRACES_GENERATE_IO_H

#include <nestwalk/traces/block.h>

enum nw_io_direction { NW_IO_IN, NW_IO_OUT, NW_IO_MIXED }; /* in: received, or read from the disk */

struct nw_generate_io_options {
    uint64_t requests; /* packets or disk requests, > 0; no default */
    uint64_t
        bytes; /* of one (0: the default): a frame without its check sequence, 60 to 65535, default 1514; a disk's are multiples of 512 up to 1 MiB, default 4096 */
    bool mix;  /* network: frames of 60, 590 and 1514 bytes, 7 : 4 : 1 (simple IMIX) instead */
    enum nw_io_direction direction; /* default in; mixed: in and out by turns */
    uint64_t ring;    /* entries of each ring, a power of two, 8 to 65536; default 512 (network), 1024 (disk) when 0 */
    uint64_t queues;  /* flows, each with its own rings, 1 to 64; taken by turns; default 1 */
    double link_gbps; /* > 0 to 10000; packets follow one another as fast as the link allows; default 10 */
    uint64_t buffer_bytes; /* network: of a buffer, 2048 or 4096; default 2048 */
    bool huge;             /* buffers are cut from physically contiguous blocks of 2 MiB */
    bool recycle; /* network, in: buffers stay mapped and are posted again (Linux: page_pool with PP_FLAG_DMA_MAP) */
    uint64_t
        backlog; /* packets or requests that software holds before it frees their buffers, up to 65536; default 64 */
    uint64_t memory_bytes; /* that buffers come from, free at first; default 1 GiB */
    bool fragmented;       /* its pages lie in random order; default true */
    uint16_t bdf;          /* default 03:00.0 */
    uint64_t seed;         /* default 42 */
};
void nw_generate_io_defaults(struct nw_generate_io_options *o);

struct nw_io_generator {
    const char *name, *doc;
    /* NW_ERR_USAGE, naming the option and what is allowed, when an option makes no sense. */
    enum nw_status (*open)(struct nw_source **out, const struct nw_generate_io_options *o, struct nw_error *err);
};
extern const struct nw_io_generator nw_io_generators[];
extern const size_t nw_io_generator_count;
const struct nw_io_generator *nw_io_generator_find(const char *name); /* NULL when there is none */

#endif
