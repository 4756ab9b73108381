/* acpi_internal.h - what the decoders share: little-endian fields, growing arrays, problems. */
#ifndef NESTWALK_IOMMU_ACPI_INTERNAL_H
#define NESTWALK_IOMMU_ACPI_INTERNAL_H

#include <nestwalk/iommu/acpi.h>
#include <string.h>

static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Room for one more of `bytes` bytes behind `count` elements; NULL when there is no memory, and *array is as it was. The
 * element is zero. */
void *nw_acpi_grow(void **array, size_t *count, size_t bytes);

/* `rest`: the `left` bytes from the offset to the end of what contains it. */
enum nw_status nw_acpi_problem_add(struct nw_acpi_problems *problems, struct nw_error *err, uint32_t offset,
                                   const uint8_t *rest, uint32_t left, const char *format, ...) NW_PRINTF(6, 7);
/* True when everything was decoded, but for zeros that fill up: what is not there is really missing. */
bool nw_acpi_whole(const struct nw_acpi_table *table, const struct nw_acpi_problems *problems);

/* Of the table without structures. */
static inline uint32_t nw_acpi_fixed(enum nw_acpi_kind kind)
{
    return kind == NW_ACPI_MADT ? NW_ACPI_MADT_FIXED_BYTES : NW_ACPI_FIXED_BYTES;
}

/* Bytes of the table to decode: what the header says, as far as it is there. */
static inline uint32_t nw_acpi_end(const struct nw_acpi_table *t) { return t->length < t->size ? t->length : t->size; }

#endif
