/* import.h - other tools' traces as sources, streaming in constant memory. Compressed inputs (gzip, xz, lzma, zstd, bzip2, lz4)
 * are recognised by content.
 *
 *   raw64    little-endian uint64_t virtual addresses, one an access; all are 8-byte loads
 *   lackey   Valgrind's `--tool=lackey --trace-mem=yes` text: "I  addr,size", " L addr,size", " S addr,size", " M addr,size";
 *            M is a load, then a store; Valgrind's own lines ("==...") are skipped
 *   csv      type,address,size[,user] a line (type: fetch|load|store or F|L|S|I|R|W; user 0|1, default 1); a heading that begins
 *            with "type" and # comments are allowed
 *
 *   ftrace-dma     text of Linux's trace events dma:* (6.12 and later), from /sys/kernel/tracing/trace or trace-cmd report: maps, unmaps and
 *                  coherent memory of each PCI device. Its trace has events and no accesses (docs/dma-traces.md)
 *   ftrace-iommu   ... of iommu:map, iommu:unmap, iommu:io_page_fault and intel_iommu:qi_submit. These do not say which domain they are about:
 *                  the device is 00:00.0
 *   qemu-vtd       QEMU's log of vtd_dmar_translate and vtd_inv_desc_iotlb_*
 *
 * Accesses are by user code where the format does not say. Sizes are 1 to 4096 bytes, kept as struct nw_block's size codes.
 * A malformed line is NW_ERR_INPUT with file and line. */
#ifndef NESTWALK_TRACES_IMPORT_H
#define NESTWALK_TRACES_IMPORT_H

#include <nestwalk/traces/block.h>

struct nw_importer {
    const char *name, *doc;
    enum nw_status (*open)(struct nw_source **out, const char *path, struct nw_error *err);
    bool directory; /* the input is one; false: a file */
};
extern const struct nw_importer nw_importers[];
extern const size_t nw_importer_count;
const struct nw_importer *nw_importer_find(const char *name); /* NULL when there is none */

#endif
