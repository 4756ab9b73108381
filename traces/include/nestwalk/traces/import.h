/* import.h - other tools' traces as sources. Compressed inputs (gzip, xz, zstd, bzip2, lz4) are recognised by content.
 *
 *   raw64    little-endian uint64_t virtual addresses, one an access; all are 8-byte loads
 *   lackey   Valgrind's `--tool=lackey --trace-mem=yes` text: "I  addr,size", " L addr,size", " S addr,size", " M addr,size"
 *   csv      type,address,size[,user] a line (type: fetch|load|store or F|L|S|I|R|W); header line and # comments allowed */
#ifndef NESTWALK_TRACES_IMPORT_H
#define NESTWALK_TRACES_IMPORT_H

#include <nestwalk/traces/block.h>

struct nw_importer {
    const char *name, *doc;
    enum nw_status (*open)(struct nw_source **out, const char *path, struct nw_error *err);
};
extern const struct nw_importer nw_importers[];
extern const size_t nw_importer_count;
const struct nw_importer *nw_importer_find(const char *name); /* NULL when there is none */

#endif
