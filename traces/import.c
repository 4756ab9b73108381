#include "import_events.h"
#include "importer.h"

#include <nestwalk/traces/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct importer {
    struct nw_source source;
    struct nw_trace_info info;
    struct nw_block_builder builder;
    struct nw_input *input;
    nw_importer_fill_fn *fill;
};

static enum nw_status importer_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct importer *im = (struct importer *)self;
    enum nw_status s = im->fill(im->input, &im->builder, err);
    return s ? s : nw_block_builder_finish(&im->builder, self->want, NULL, 0, 0, block, err);
}

static enum nw_status importer_rewind(struct nw_source *self, struct nw_error *err)
{
    struct importer *im = (struct importer *)self;
    im->builder.first_access = im->builder.count = 0;
    return nw_input_rewind(im->input, err);
}

static const struct nw_trace_info *importer_info(const struct nw_source *self)
{
    return &((const struct importer *)self)->info;
}

static uint64_t importer_total(const struct nw_source *self)
{
    (void)self;
    return 0; /* only the end of a stream tells */
}

static void importer_destroy(struct nw_source *self)
{
    struct importer *im = (struct importer *)self;
    nw_block_builder_fini(&im->builder);
    nw_trace_info_fini(&im->info);
    nw_input_close(im->input);
    free(im);
}

static const struct nw_source_ops importer_ops = {
    .next = importer_next,
    .rewind = importer_rewind,
    .info = importer_info,
    .access_total = importer_total,
    .destroy = importer_destroy,
};

enum nw_status nw_importer_open(struct nw_source **out, const char *path, const char *name, nw_importer_fill_fn *fill,
                                struct nw_error *err)
{
    struct importer *im = calloc(1, sizeof *im);
    if (!im)
        return nw_fail_nomem(err, "an importer");
    im->source = (struct nw_source){ .ops = &importer_ops, .want = NW_WANT_ADDRESSES };
    im->fill = fill;
    nw_trace_info_init(&im->info);
    snprintf(im->info.origin, sizeof im->info.origin, "import %s", name);
    enum nw_status s = nw_block_builder_init(&im->builder, NW_BLOCK_BUILDER_CAPACITY, err);
    if (!s)
        s = nw_input_open(&im->input, path, err);
    if (s) {
        importer_destroy(&im->source);
        return s;
    }
    *out = &im->source;
    return NW_OK;
}

static enum nw_status open_raw64(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_importer_open(out, path, "raw64", nw_import_raw64, err);
}
static enum nw_status open_lackey(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_importer_open(out, path, "lackey", nw_import_lackey, err);
}
static enum nw_status open_csv(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_importer_open(out, path, "csv", nw_import_csv, err);
}

static enum nw_status open_ftrace_dma(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_import_events_open(out, path, "ftrace-dma", nw_import_ftrace_dma, false, err);
}
static enum nw_status open_ftrace_iommu(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_import_events_open(out, path, "ftrace-iommu", nw_import_ftrace_iommu, false, err);
}
static enum nw_status open_ftrace_dma_raw(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_import_events_open(out, path, "ftrace-dma-raw", nw_import_ftrace_dma, true, err);
}
static enum nw_status open_ftrace_iommu_raw(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_import_events_open(out, path, "ftrace-iommu-raw", nw_import_ftrace_iommu, true, err);
}
static enum nw_status open_qemu_vtd(struct nw_source **out, const char *path, struct nw_error *err)
{
    return nw_import_events_open(out, path, "qemu-vtd", nw_import_qemu_vtd, false, err);
}

const struct nw_importer nw_importers[] = {
    { "raw64", "little-endian 64-bit virtual addresses, one an access; all are 8-byte loads", open_raw64, false },
    { "lackey", "text of Valgrind's --tool=lackey --trace-mem=yes", open_lackey, false },
    { "csv", "lines type,address,size[,user]; type is fetch, load or store, or F, I, L, R, S, W", open_csv, false },
    { "ftrace-dma", "text of Linux's dma:* trace events, of ftrace or trace-cmd report", open_ftrace_dma, false },
    { "ftrace-iommu", "... of iommu:map, unmap and io_page_fault, and intel_iommu:qi_submit", open_ftrace_iommu,
      false },
    { "ftrace-dma-raw", "a directory as tracefs has it: formats of dma:* events, and trace_pipe_raw of each processor",
      open_ftrace_dma_raw, true },
    { "ftrace-iommu-raw", "... of the events of ftrace-iommu", open_ftrace_iommu_raw, true },
    { "qemu-vtd", "QEMU's log of its vtd_* trace events", open_qemu_vtd, false },
};
const size_t nw_importer_count = NW_ARRAY_LEN(nw_importers);

const struct nw_importer *nw_importer_find(const char *name)
{
    for (size_t i = 0; i < nw_importer_count; i++)
        if (!strcmp(nw_importers[i].name, name))
            return &nw_importers[i];
    return NULL;
}
