/* iommu_image.c - a memory image with the tables of one device whose domain maps a lot of memory in pages of 4 KiB, for
 * `nestwalk iommu check --intent`: its size and time are measured by bench/iommu_proof.sh.
 *
 *     iommu_image vtd|amdvi PAGES_LOG2 scattered|in-order FILE
 *
 * The device is 00:02.0. IOVA page n leads to physical page (n * 0x9e3779b1 mod 2^PAGES_LOG2) + 2^PAGES_LOG2 when scattered, so that no two
 * neighbours are neighbours in memory, or to n + 2^PAGES_LOG2 in order. Root (or device table) at 0x1000, leaf tables from 16 MiB on. Prints the
 * options that go with it. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, LEAVES = 16 << 20, FUNCTION = 0x10 };

static FILE *out;

static void put(uint64_t at, const void *bytes, size_t size)
{
    if (fseeko(out, (off_t)at, SEEK_SET) || fwrite(bytes, 1, size, out) != size) {
        perror("iommu_image");
        exit(4);
    }
}
static void word(uint64_t at, uint64_t value) { put(at, &value, sizeof value); }

/* An entry that leads to a table (`level` of it, from 1), or to a page (0). */
static uint64_t entry(bool amd, uint64_t to, unsigned level)
{
    return amd ? to | 1 | (uint64_t)level << 9 | UINT64_C(3) << 61 : to | 3;
}

/* `tables` tables of one level from `base` on, to be led to by the level above; that is laid before them. Returns where the root is. */
static uint64_t upper_levels(bool amd, uint64_t tables, unsigned levels)
{
    uint64_t below = LEAVES, next = 0x100000;
    for (unsigned level = 2; level <= levels; level++) {
        const uint64_t here = next, count = (tables + 511) / 512;
        for (uint64_t i = 0; i < tables; i++)
            word(here + i * 8, entry(amd, below + i * PAGE, level - 1));
        next = here + count * PAGE;
        below = here;
        tables = count;
    }
    return below;
}

int main(int argc, char **argv)
{
    const unsigned log2 = argc == 5 ? (unsigned)atoi(argv[2]) : 0;
    if (argc != 5 || log2 < 9 || log2 > 32 || (strcmp(argv[1], "vtd") && strcmp(argv[1], "amdvi"))) {
        fprintf(stderr, "usage: iommu_image vtd|amdvi PAGES_LOG2 scattered|in-order FILE\n");
        return 2;
    }
    const bool amd = !strcmp(argv[1], "amdvi"), scattered = !strcmp(argv[3], "scattered");
    const uint64_t pages = UINT64_C(1) << log2, tables = pages / 512;
    out = fopen(argv[4], "wb");
    if (!out) {
        perror(argv[4]);
        return 4;
    }
    const uint64_t root = upper_levels(amd, tables, 4);
    if (amd) {
        word(0x1000 + FUNCTION * 32, root | 3 | 4 << 9 | UINT64_C(3) << 61);
        word(0x1008 + FUNCTION * 32, 1);
    } else {
        word(0x1000, 0x2001);
        word(0x2000 + FUNCTION * 16, root | 1);
        word(0x2008 + FUNCTION * 16, 2 | 1 << 8);
    }
    for (uint64_t t = 0; t < tables; t++) {
        uint64_t leaf[512];
        for (unsigned i = 0; i < 512; i++) {
            const uint64_t n = t * 512 + i, page = (scattered ? n * UINT64_C(0x9e3779b1) & (pages - 1) : n) + pages;
            leaf[i] = entry(amd, page * PAGE, 0);
        }
        put(LEAVES + t * PAGE, leaf, sizeof leaf);
    }
    if (fclose(out)) {
        perror(argv[4]);
        return 4;
    }
    printf("--image %s %s\n", argv[4], amd ? "--device-table 0x1000" : "--rtaddr 0x1000");
    return 0;
}
