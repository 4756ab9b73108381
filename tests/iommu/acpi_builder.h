/* acpi_builder.h - DMAR and IVRS tables put together structure by structure, with the lengths and the checksum right until a
 * test says otherwise. */
#ifndef NESTWALK_TESTS_ACPI_BUILDER_H
#define NESTWALK_TESTS_ACPI_BUILDER_H

#include "iommu_common.h"
#include <nestwalk/iommu/check.h>

struct builder {
    uint8_t byte[65536 + 64];
    uint32_t size;
    uint32_t structure; /* where the one being built begins */
    bool dmar;
};

static inline void put(struct builder *b, uint32_t at, unsigned bytes, uint64_t value)
{
    memcpy(b->byte + at, &value, bytes);
}
static inline void append(struct builder *b, unsigned bytes, uint64_t value)
{
    put(b, b->size, bytes, value);
    b->size += bytes;
}

/* The length of the structure being built is what it has by now. */
static inline void fit(struct builder *b)
{
    if (b->structure)
        put(b, b->structure + 2, 2, b->size - b->structure);
}

static inline void finish(struct builder *b)
{
    uint8_t sum = 0;
    put(b, 4, 4, b->size);
    b->byte[9] = 0;
    for (uint32_t i = 0; i < b->size; i++)
        sum = (uint8_t)(sum + b->byte[i]);
    b->byte[9] = (uint8_t)-sum;
}

static inline void begin(struct builder *b, bool dmar)
{
    memset(b, 0, sizeof *b);
    memcpy(b->byte, dmar ? "DMAR" : "IVRS", 4);
    b->byte[8] = 1;
    b->dmar = dmar;
    b->size = NW_ACPI_FIXED_BYTES;
    if (dmar) {
        b->byte[36] = 38; /* 39 bits */
        b->byte[37] = NW_DMAR_INTR_REMAP;
    } else {
        put(b, 36, 4, 0x203000);
    }
}

/* ---- DMAR ---- */

static inline void structure(struct builder *b, unsigned type, unsigned fixed)
{
    b->structure = b->size;
    append(b, 2, type);
    append(b, 2, fixed);
    b->size += fixed - 4;
}
static inline void scope(struct builder *b, unsigned type, unsigned id, unsigned bus, unsigned device,
                         unsigned function)
{
    append(b, 1, type);
    append(b, 1, 8);
    append(b, 2, 0);
    append(b, 1, id);
    append(b, 1, bus);
    append(b, 1, device);
    append(b, 1, function);
    fit(b);
}
static inline void drhd(struct builder *b, unsigned flags, unsigned segment, uint64_t base)
{
    structure(b, NW_DMAR_DRHD, 16);
    put(b, b->structure + 4, 1, flags);
    put(b, b->structure + 6, 2, segment);
    put(b, b->structure + 8, 8, base);
}
static inline void rmrr(struct builder *b, unsigned segment, uint64_t base, uint64_t limit)
{
    structure(b, NW_DMAR_RMRR, 24);
    put(b, b->structure + 6, 2, segment);
    put(b, b->structure + 8, 8, base);
    put(b, b->structure + 16, 8, limit);
}
static inline void andd(struct builder *b, unsigned number, const char *name, bool ended)
{
    structure(b, NW_DMAR_ANDD, 8);
    put(b, b->structure + 7, 1, number);
    memcpy(b->byte + b->size, name, strlen(name));
    b->size += (uint32_t)strlen(name) + ended;
    fit(b);
}
static inline void rhsa(struct builder *b, uint64_t base, unsigned proximity)
{
    structure(b, NW_DMAR_RHSA, 20);
    put(b, b->structure + 8, 8, base);
    put(b, b->structure + 16, 4, proximity);
}
static inline void atsr(struct builder *b, unsigned flags)
{
    structure(b, NW_DMAR_ATSR, 8);
    put(b, b->structure + 4, 1, flags);
}

/* ---- IVRS ---- */

static inline void ivhd(struct builder *b, unsigned type, unsigned device, uint64_t base)
{
    unsigned fixed = type == NW_IVHD_10 ? 24 : 40;
    b->structure = b->size;
    append(b, 1, type);
    append(b, 1, 0xb0);
    append(b, 2, fixed);
    append(b, 2, device);
    append(b, 2, 0x40);
    append(b, 8, base);
    b->size += fixed - 16;
}
/* A device entry of four bytes, or of eight with its second word. */
static inline void entry(struct builder *b, unsigned type, unsigned device, uint32_t word)
{
    append(b, 1, type);
    append(b, 2, device);
    append(b, 1, 0);
    if (type >= 0x40)
        append(b, 4, word);
    fit(b);
}
static inline void special(struct builder *b, unsigned handle, unsigned device, unsigned variety)
{
    entry(b, NW_IVHD_SPECIAL, 0, handle | device << 8 | variety << 24);
}
static inline void acpi_hid(struct builder *b, const char hid[8], unsigned format, const char *uid)
{
    append(b, 1, NW_IVHD_ACPI_HID);
    append(b, 2, 0xa5);
    append(b, 1, 0x40);
    memcpy(b->byte + b->size, hid, 8);
    b->size += 16;
    append(b, 1, format);
    append(b, 1, strlen(uid));
    memcpy(b->byte + b->size, uid, strlen(uid));
    b->size += (uint32_t)strlen(uid);
    fit(b);
}
static inline void ivmd(struct builder *b, unsigned type, unsigned flags, unsigned device, unsigned aux, uint64_t base,
                        uint64_t bytes)
{
    b->structure = b->size;
    append(b, 1, type);
    append(b, 1, flags);
    append(b, 2, 32);
    append(b, 2, device);
    append(b, 2, aux);
    append(b, 8, 0);
    append(b, 8, base);
    append(b, 8, bytes);
}

#endif
