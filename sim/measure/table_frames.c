/* Frames that are page tables. Linux keeps them apart from the pages of programs (mm/page_alloc.c, "grouping pages by mobility"), so the
 * frames that pagemap tells do not say where they are. */
#include "measure_internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Linux, Documentation/admin-guide/mm/pagemap.rst: /proc/kpageflags has a word for each frame; bit 26, PGTABLE. */
#define IS_TABLE (UINT64_C(1) << 26)
enum { BATCH = 8192, FRAMES_MAX = 1 << 28 };

struct table_frames {
    uint64_t frames;
    uint64_t *bits; /* one a frame */
};

static bool is_table(const struct table_frames *t, uint64_t pfn)
{
    return pfn < t->frames && t->bits[pfn / 64] >> pfn % 64 & 1;
}

static bool grow(struct table_frames *t, uint64_t more)
{
    uint64_t *bits = realloc(t->bits, ((t->frames + more + 63) / 64) * sizeof *bits);
    if (!bits)
        return false;
    for (uint64_t w = (t->frames + 63) / 64; w < (t->frames + more + 63) / 64; w++)
        bits[w] = 0;
    t->bits = bits;
    return true;
}

static void table_frames_free(struct table_frames *t)
{
    if (t)
        free(t->bits);
    free(t);
}

struct table_frames *table_frames_look(void)
{
    struct table_frames *t = calloc(1, sizeof *t);
    uint64_t *word = malloc(BATCH * sizeof *word);
    const int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    while (t && word && fd >= 0 && t->frames < FRAMES_MAX && (got = read(fd, word, BATCH * sizeof *word)) > 0) {
        const size_t words = (size_t)got / sizeof *word;
        if (!grow(t, words))
            break;
        for (size_t i = 0; i < words; i++, t->frames++)
            t->bits[t->frames / 64] |= (uint64_t) !!(word[i] & IS_TABLE) << t->frames % 64;
    }
    if (fd >= 0)
        close(fd);
    free(word);
    if (got || !t || !t->frames) {
        table_frames_free(t);
        return NULL;
    }
    return t;
}

size_t table_frames_since(struct table_frames *before, struct nw_frame_run *out, size_t room)
{
    struct table_frames *now = table_frames_look();
    size_t runs = 0;
    uint64_t page = 0;
    room = room < TABLE_FRAMES_MAX ? room : TABLE_FRAMES_MAX;
    for (uint64_t pfn = 0; now && pfn < now->frames; pfn++) {
        if (!is_table(now, pfn) || is_table(before, pfn))
            continue;
        if (runs && out[runs - 1].pfn + out[runs - 1].length == pfn)
            out[runs - 1].length++;
        else if (runs < room)
            out[runs++] = (struct nw_frame_run){ .pages = NW_FRAMES_TABLES, .page = page, .pfn = pfn, .length = 1 };
        else
            break;
        page++;
    }
    table_frames_free(now);
    table_frames_free(before);
    return runs;
}
