/* One packet or request of each kind of device: what the driver maps, and what the device reads and writes, in which order.
 *
 * Sources: Intel 82599 Datasheet, "Receive Descriptor" and "Transmit Descriptor" (16 bytes, fetched by the cache line, written back when done); NVM
 * Express Base Specification, "Submission Queue Entry" (64 bytes), "Completion Queue Entry" (16), "Physical Region Page Entry and List"; Virtual I/O
 * Device (VIRTIO) 1.2, "Split Virtqueues", "Network Device" (header of 12 bytes), "Block Device". */
#include "generate_io.h"
#include <nestwalk/base/bits.h>
#include <string.h>

enum { READ_BY_DEVICE = 1, WRITTEN_BY_DEVICE = 2 };
enum {
    NIC_DESCRIPTOR = 16,
    LINE = 64,
    SQ_ENTRY = 64,
    CQ_ENTRY = 16,
    PRP = 8,
    VIRTIO_DESCRIPTOR = 16,
    NET_HEADER = 12,
    BLK_HEADER = 16
};

/* ---- places ---- a queue's rings, each rounded up to pages, and a page for each entry behind them (generate_io.c, ring_span). */

static uint64_t ring_bytes(const struct io_generator *g) { return (g->options.ring * 64 + 0xfff) & ~UINT64_C(0xfff); }
static uint64_t first_ring(const struct io_queue *q) { return q->ring; }
static uint64_t second_ring(const struct io_generator *g, const struct io_queue *q) { return q->ring + ring_bytes(g); }
static uint64_t page_of_entry(const struct io_generator *g, const struct io_queue *q, uint64_t slot)
{
    return q->ring + 2 * ring_bytes(g) + (slot << NW_PAGE_LOG2);
}

/* ---- buffers ---- */

static void take(struct io_generator *g, struct io_buffer *b, uint64_t bytes, unsigned rights)
{
    b->count = (uint32_t)((bytes + g->piece - 1) / g->piece);
    b->bytes = (uint32_t)bytes;
    b->rights = (uint8_t)rights;
    for (unsigned i = 0; i < b->count; i++)
        b->address[i] = io_take(g);
}

static uint64_t piece_bytes(const struct io_generator *g, const struct io_buffer *b, unsigned i)
{
    const uint64_t left = b->bytes - i * g->piece;
    return left < g->piece ? left : g->piece;
}

static void map(struct io_generator *g, struct io_buffer *b)
{
    for (unsigned i = 0; i < b->count; i++)
        io_map(g, b->address[i], piece_bytes(g, b, i), b->rights);
    b->mapped = true;
}

static void unmap(struct io_generator *g, struct io_buffer *b)
{
    for (unsigned i = 0; i < b->count && b->mapped; i++)
        io_unmap(g, b->address[i], piece_bytes(g, b, i));
    b->mapped = false;
}

static void touch(struct io_generator *g, const struct io_buffer *b, uint64_t bytes, bool write)
{
    for (unsigned i = 0; bytes; i++) {
        const uint64_t here = bytes < g->piece ? bytes : g->piece;
        io_access(g, b->address[i], here, write);
        bytes -= here;
    }
}

/* Software holds the buffers of the last `backlog` packets of a direction; gives back what it held longest (count 0: nothing yet). */
static struct io_buffer hold(struct io_generator *g, struct io_queue *q, bool sent, const struct io_buffer *b)
{
    struct io_buffer *oldest = &q->held[sent][q->held_next[sent]], out = *oldest;
    *oldest = *b;
    q->held_next[sent] = q->held_next[sent] == g->options.backlog ? 0 : q->held_next[sent] + 1;
    return out;
}

static void release(struct io_generator *g, struct io_buffer *b)
{
    unmap(g, b);
    for (unsigned i = 0; i < b->count; i++)
        io_give(g, b->address[i]);
}

/* ---- network ---- */

static uint64_t largest_frame(const struct io_generator *g)
{
    return g->options.mix && g->options.bytes < 1514 ? 1514 : g->options.bytes;
}

static void post(struct io_generator *g, struct io_buffer *slot)
{
    take(g, slot, largest_frame(g), WRITTEN_BY_DEVICE);
    slot->bytes = (uint32_t)(slot->count * g->piece); /* a receive buffer is mapped as a whole */
    map(g, slot);
}

static void network_begin(struct io_generator *g)
{
    for (uint64_t n = 0; n < g->options.queues; n++) {
        struct io_queue *q = &g->queue[n];
        io_map(g, first_ring(q), ring_bytes(g), READ_BY_DEVICE | WRITTEN_BY_DEVICE);
        io_map(g, second_ring(g, q), ring_bytes(g), READ_BY_DEVICE | WRITTEN_BY_DEVICE);
        for (uint64_t i = 0; i < g->options.ring && g->options.direction != NW_IO_OUT; i++)
            post(g, &q->in[i]);
    }
}

/* What becomes of a receive buffer: it goes up the stack, and the entry gets another. */
static void replace(struct io_generator *g, struct io_queue *q, struct io_buffer *slot)
{
    if (!g->options.recycle)
        unmap(g, slot);
    struct io_buffer oldest = hold(g, q, false, slot);
    if (g->options.recycle && oldest.count) {
        *slot = oldest;
        return;
    }
    release(g, &oldest);
    post(g, slot);
}

static void ring_fetch(struct io_generator *g, uint64_t ring, uint64_t slot)
{
    if (slot % (LINE / NIC_DESCRIPTOR) == 0)
        io_access(g, ring + slot * NIC_DESCRIPTOR, LINE, false);
}

static void nic_receive(struct io_generator *g, struct io_queue *q, uint64_t flow)
{
    const uint64_t frame = io_frame_bytes(g), slot = q->in_next++ % g->options.ring;
    io_pass(g, frame, true);
    io_time(g);
    io_begin(g, NW_IO_RECEIVE, frame, flow);
    ring_fetch(g, first_ring(q), slot);
    touch(g, &q->in[slot], frame, true);
    io_access(g, first_ring(q) + slot * NIC_DESCRIPTOR, NIC_DESCRIPTOR, true);
    io_end(g);
    replace(g, q, &q->in[slot]);
}

/* Buffers of sent packets stay mapped until software looks at the ring again, `backlog` packets later. */
static void nic_send(struct io_generator *g, struct io_queue *q, uint64_t flow)
{
    const uint64_t frame = io_frame_bytes(g), slot = q->next++ % g->options.ring;
    struct io_buffer b = { 0 };
    take(g, &b, frame, READ_BY_DEVICE);
    io_pass(g, frame, true);
    io_time(g);
    map(g, &b);
    io_begin(g, NW_IO_TRANSMIT, frame, flow);
    ring_fetch(g, second_ring(g, q), slot);
    touch(g, &b, frame, false);
    io_access(g, second_ring(g, q) + slot * NIC_DESCRIPTOR, NIC_DESCRIPTOR, true);
    io_end(g);
    struct io_buffer oldest = hold(g, q, true, &b);
    release(g, &oldest);
}

static void nic_one(struct io_generator *g, struct io_queue *q, uint64_t flow)
{
    (io_goes_in(g) ? nic_receive : nic_send)(g, q, flow);
}

/* ---- split virtqueues: descriptors, then what is available, then what is used ---- */

static uint64_t available(const struct io_generator *g, uint64_t ring)
{
    return ring + g->options.ring * VIRTIO_DESCRIPTOR;
}
static uint64_t used(const struct io_generator *g, uint64_t ring)
{
    return ring + g->options.ring * (VIRTIO_DESCRIPTOR + 8);
}

static void virtqueue_take(struct io_generator *g, uint64_t ring, uint64_t slot, unsigned descriptors)
{
    io_access(g, available(g, ring) + 2, 2, false);            /* idx */
    io_access(g, available(g, ring) + 4 + 2 * slot, 2, false); /* ring[slot] */
    io_access(g, ring + slot * VIRTIO_DESCRIPTOR, descriptors * VIRTIO_DESCRIPTOR, false);
}

static void virtqueue_give(struct io_generator *g, uint64_t ring, uint64_t slot)
{
    io_access(g, used(g, ring) + 4 + 8 * slot, 8, true); /* ring[slot] */
    io_access(g, used(g, ring) + 2, 2, true);            /* idx */
}

static void virtio_net_one(struct io_generator *g, struct io_queue *q, uint64_t flow)
{
    const bool in = io_goes_in(g);
    const uint64_t frame = io_frame_bytes(g), ring = in ? first_ring(q) : second_ring(g, q),
                   slot = (in ? q->in_next++ : q->next++) % g->options.ring;
    struct io_buffer sent = { 0 }, *b = in ? &q->in[slot] : &sent;
    io_pass(g, frame, true);
    io_time(g);
    if (!in) {
        take(g, b, frame, READ_BY_DEVICE);
        map(g, b);
    }
    io_begin(g, in ? NW_IO_RECEIVE : NW_IO_TRANSMIT, frame, flow);
    virtqueue_take(g, ring, slot, 1);
    io_access(g, page_of_entry(g, q, slot), NET_HEADER, in);
    touch(g, b, frame, in);
    virtqueue_give(g, ring, slot);
    io_end(g);
    if (in) {
        replace(g, q, b);
        return;
    }
    struct io_buffer oldest = hold(g, q, true, b);
    release(g, &oldest);
}

static void virtio_net_begin(struct io_generator *g)
{
    for (uint64_t n = 0; n < g->options.queues; n++) /* headers lie in pages of their own, mapped with the rings */
        io_map(g, page_of_entry(g, &g->queue[n], 0), g->options.ring << NW_PAGE_LOG2,
               READ_BY_DEVICE | WRITTEN_BY_DEVICE);
    network_begin(g);
}

/* ---- disks ---- */

static void disk_begin(struct io_generator *g)
{
    for (uint64_t n = 0; n < g->options.queues; n++) {
        struct io_queue *q = &g->queue[n];
        io_map(g, first_ring(q), ring_bytes(g), READ_BY_DEVICE | WRITTEN_BY_DEVICE);
        io_map(g, second_ring(g, q), ring_bytes(g), READ_BY_DEVICE | WRITTEN_BY_DEVICE);
        io_map(g, page_of_entry(g, q, 0), g->options.ring << NW_PAGE_LOG2, READ_BY_DEVICE | WRITTEN_BY_DEVICE);
    }
}

static void disk_data(struct io_generator *g, const struct io_buffer *b, bool in)
{
    for (uint64_t done = 0; done < b->bytes; done += NW_PAGE_BYTES)
        io_access(g, b->address[0] + done, b->bytes - done < NW_PAGE_BYTES ? b->bytes - done : NW_PAGE_BYTES, in);
}

static void nvme_transfer(struct io_generator *g, struct io_queue *q, const struct io_buffer *b, uint64_t slot, bool in)
{
    const uint64_t pages = (b->bytes + NW_PAGE_BYTES - 1) >> NW_PAGE_LOG2;
    io_access(g, first_ring(q) + slot * SQ_ENTRY, SQ_ENTRY, false);
    if (pages > 2) /* the first page is named in the entry itself */
        io_access(g, page_of_entry(g, q, slot), (pages - 1) * PRP, false);
    disk_data(g, b, in);
    io_access(g, second_ring(g, q) + slot * CQ_ENTRY, CQ_ENTRY, true);
}

static void virtio_blk_transfer(struct io_generator *g, struct io_queue *q, const struct io_buffer *b, uint64_t slot,
                                bool in)
{
    virtqueue_take(g, first_ring(q), slot % (g->options.ring / 3) * 3, 3);
    io_access(g, page_of_entry(g, q, slot), BLK_HEADER, false);
    disk_data(g, b, in);
    io_access(g, page_of_entry(g, q, slot) + BLK_HEADER, 1, true); /* status */
    virtqueue_give(g, first_ring(q), slot);
}

static void disk_one(struct io_generator *g, struct io_queue *q, uint64_t flow)
{
    const bool in = io_goes_in(g), nvme = strcmp(g->device->name, "nvme") == 0;
    const uint64_t slot = q->next++ % g->options.ring;
    struct io_buffer b = { 0 };
    take(g, &b, g->options.bytes, in ? WRITTEN_BY_DEVICE : READ_BY_DEVICE);
    io_pass(g, g->options.bytes, false);
    io_time(g);
    map(g, &b);
    io_begin(g, in ? NW_IO_READ : NW_IO_WRITE, g->options.bytes, flow);
    (nvme ? nvme_transfer : virtio_blk_transfer)(g, q, &b, slot, in);
    io_end(g);
    unmap(g, &b);
    struct io_buffer oldest = hold(g, q, false, &b);
    release(g, &oldest);
}

/* ---- the table ---- */

static const struct io_device nic = { "nic", true, network_begin, nic_one },
                              nvme = { "nvme", false, disk_begin, disk_one },
                              virtio_net = { "virtio-net", true, virtio_net_begin, virtio_net_one },
                              virtio_blk = { "virtio-blk", false, disk_begin, disk_one };

static enum nw_status open_nic(struct nw_source **out, const struct nw_generate_io_options *o, struct nw_error *err)
{
    return io_open(out, &nic, o, err);
}
static enum nw_status open_nvme(struct nw_source **out, const struct nw_generate_io_options *o, struct nw_error *err)
{
    return io_open(out, &nvme, o, err);
}
static enum nw_status open_virtio_net(struct nw_source **out, const struct nw_generate_io_options *o,
                                      struct nw_error *err)
{
    return io_open(out, &virtio_net, o, err);
}
static enum nw_status open_virtio_blk(struct nw_source **out, const struct nw_generate_io_options *o,
                                      struct nw_error *err)
{
    return io_open(out, &virtio_blk, o, err);
}

const struct nw_io_generator nw_io_generators[] = {
    { "nic", "a network card's rings and buffers", open_nic },
    { "nvme", "a disk's queues, PRP lists and buffers", open_nvme },
    { "virtio-net", "a paravirtual network device's virtqueues and buffers", open_virtio_net },
    { "virtio-blk", "a paravirtual disk's virtqueue and buffers", open_virtio_blk },
};
const size_t nw_io_generator_count = NW_ARRAY_LEN(nw_io_generators);

const struct nw_io_generator *nw_io_generator_find(const char *name)
{
    for (size_t i = 0; i < nw_io_generator_count; i++)
        if (!strcmp(nw_io_generators[i].name, name))
            return &nw_io_generators[i];
    return NULL;
}
