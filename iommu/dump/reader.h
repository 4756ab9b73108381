/* reader.h - what the parsers of texts share. One file a format: text_NAME.c defines `nw_text_NAME`, and texts.c lists it. */
#ifndef NESTWALK_IOMMU_READER_H
#define NESTWALK_IOMMU_READER_H

#include "../acpi/acpi_internal.h"
#include <nestwalk/iommu/dump.h>

enum { LINE_MAX_BYTES = 4096, WORDS_MAX = 32 };

struct reader {
    struct nw_dump *d;
    const char *at, *end, *file;
    unsigned input;
    uint32_t line_number;
    char line[LINE_MAX_BYTES], words[LINE_MAX_BYTES]; /* the line, and cut at its blanks */
    char *word[WORDS_MAX];
    unsigned count;
    char unit[NW_DUMP_UNIT_NAME]; /* that the rows belong to; the parser sets it */
    size_t items;                 /* rows that said something */
};

struct text_format {
    const char *name;                       /* "iommu_regset" */
    bool (*begins)(const struct reader *r); /* the line is one that only such a text has, among its first 64 */
    enum nw_status (*parse)(struct reader *r, struct nw_error *err);
};

bool nw_reader_next(struct reader *r);               /* the next line, and its words; false: there is none */
bool nw_reader_hex(const char *text, uint64_t *out); /* up to its end, a colon or a comma */
bool nw_reader_pair(const char *text, uint64_t *first, uint64_t *second);
bool nw_reader_function(const char *text, uint16_t *segment, uint16_t *bdf);
struct nw_dump_place nw_reader_place(const struct reader *r);
enum nw_status nw_reader_bad(const struct reader *r, struct nw_error *err, const char *expected);

/* The unit with these registers (0: not known) or, where that does not tell, of this name (may be empty); a new one when no text has told of
 * it. NULL: no memory. Valid until the next call. */
struct nw_dump_unit *nw_reader_unit(struct reader *r, const char *name, uint64_t base);
/* The last text that tells a register is believed. */
void nw_reader_register(const struct reader *r, struct nw_dump_unit *u, enum nw_dump_register which, uint64_t value);

/* Room for one more, zero; NULL: no memory. `array` is the address of a pointer to its first element. */
static inline void *nw_reader_grow(void *array, size_t *count, size_t bytes)
{
    return nw_acpi_grow(array, count, bytes);
}

#endif
