#include <nestwalk/traces/page_content.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

enum { LEVEL = 3, BOUND = NW_PAGE_BYTES + 512 }; /* above ZSTD_COMPRESSBOUND(4096) */

struct nw_page_packer {
    ZSTD_CCtx *context;
    unsigned char out[BOUND];
};

enum nw_status nw_page_packer_create(struct nw_page_packer **out, struct nw_error *err)
{
    struct nw_page_packer *p = calloc(1, sizeof *p);
    if (p)
        p->context = ZSTD_createCCtx();
    if (!p || !p->context || ZSTD_isError(ZSTD_CCtx_setParameter(p->context, ZSTD_c_compressionLevel, LEVEL))) {
        nw_page_packer_destroy(p);
        return nw_fail_nomem(err, "a compressor of pages");
    }
    *out = p;
    return NW_OK;
}

void nw_page_packer_destroy(struct nw_page_packer *p)
{
    if (p)
        ZSTD_freeCCtx(p->context);
    free(p);
}

struct nw_page_content nw_page_content_of(struct nw_page_packer *p, const void *page)
{
    const size_t packed = ZSTD_compress2(p->context, p->out, sizeof p->out, page, NW_PAGE_BYTES);
    const bool smaller = !ZSTD_isError(packed) && packed < NW_PAGE_BYTES;
    return (struct nw_page_content){ XXH3_64bits(page, NW_PAGE_BYTES), smaller ? (uint32_t)packed : NW_PAGE_BYTES };
}
