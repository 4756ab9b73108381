/* importer.h - the frame that importers share: a source over an input, filled by one function that parses. */
#ifndef NESTWALK_TRACES_IMPORTER_H
#define NESTWALK_TRACES_IMPORTER_H

#include "block_builder.h"

#include <nestwalk/traces/input.h>

/* Adds accesses to the builder until it is full or the input ends. Two places may be needed at once by a line of two accesses:
 * it then leaves when fewer are free. */
typedef enum nw_status nw_importer_fill_fn(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err);

enum nw_status nw_importer_open(struct nw_source **out, const char *path, const char *name, nw_importer_fill_fn *fill,
                                struct nw_error *err) NW_MUST_USE;

enum nw_status nw_import_raw64(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_import_lackey(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_import_csv(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err) NW_MUST_USE;

#endif
