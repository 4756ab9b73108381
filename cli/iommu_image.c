#include "iommu_image.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static enum nw_status check_file(struct iommu_image *image, uint64_t start, unsigned haw, struct nw_error *err)
{
    struct stat st;
    if (fstat(image->fd, &st))
        return nw_fail_errno(err, NW_ERR_IO, errno, "%s", image->path);
    if (!S_ISREG(st.st_mode))
        return nw_fail(err, NW_ERR_INPUT, "%s: a memory image must be a regular file", image->path);
    uint64_t bytes = (uint64_t)st.st_size, top = UINT64_C(1) << haw;
    if (!bytes)
        return nw_fail(err, NW_ERR_INPUT, "%s: the file is empty; a memory image has whole 4 KiB pages", image->path);
    if (bytes % PAGE)
        return nw_fail(err, NW_ERR_INPUT, "%s: %llu bytes are not whole 4 KiB pages", image->path,
                       (unsigned long long)bytes);
    if (start % PAGE)
        return nw_fail(err, NW_ERR_INPUT, "--start 0x%llx: an image starts at a multiple of 4096",
                       (unsigned long long)start);
    if (start >= top || bytes > top - start)
        return nw_fail(err, NW_ERR_INPUT, "%s: %llu bytes from 0x%llx are too many: addresses of %u bits end at 0x%llx",
                       image->path, (unsigned long long)bytes, (unsigned long long)start, haw, (unsigned long long)top);
    image->range = (struct nw_vtd_range){ start, start + bytes };
    return NW_OK;
}

enum nw_status iommu_image_open(struct iommu_image *image, const char *path, uint64_t start, unsigned haw,
                                struct nw_error *err)
{
    *image = (struct iommu_image){ .path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
    if (image->fd < 0)
        return nw_fail_errno(err, errno == ENOENT ? NW_ERR_INPUT : NW_ERR_IO, errno, "%s", path);
    enum nw_status s = check_file(image, start, haw, err);
    return s ? s : nw_physmem_create(&image->pm, err);
}

void iommu_image_close(struct iommu_image *image)
{
    if (image->fd >= 0)
        close(image->fd);
    nw_physmem_destroy(image->pm);
    image->pm = NULL;
    image->fd = -1;
}

static enum nw_status load_page(struct iommu_image *image, uint64_t page, struct nw_error *err)
{
    uint64_t word[PAGE / 8];
    size_t got = 0;
    while (got < PAGE) {
        ssize_t n = pread(image->fd, (char *)word + got, PAGE - got, (off_t)(page - image->range.start + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nw_fail_errno(err, NW_ERR_IO, errno, "%s: page 0x%llx", image->path, (unsigned long long)page);
        if (!n)
            return nw_fail(err, NW_ERR_INPUT, "%s: page 0x%llx: the file has become shorter", image->path,
                           (unsigned long long)page);
        got += (size_t)n;
    }
    for (unsigned i = 0; i < NW_ARRAY_LEN(word); i++) {
        enum nw_status s = word[i] ? nw_physmem_write64(image->pm, nw_hpa(page + 8 * i), word[i], err) : NW_OK;
        if (s)
            return s;
    }
    return NW_OK;
}

void iommu_image_need(void *context, uint64_t address)
{
    struct iommu_image *image = context;
    uint64_t page = address & ~UINT64_C(4095);
    if (address < image->range.start || address >= image->range.end || image->error.status)
        return;
    for (unsigned i = 0; i < image->loaded.count; i++)
        if (image->loaded.page[i] == page)
            return; /* not again: the walk may have set flags in it */
    if (image->loaded.count < NW_ARRAY_LEN(image->loaded.page))
        image->loaded.page[image->loaded.count++] = page;
    (void)!load_page(image, page, &image->error);
}
