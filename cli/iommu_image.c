#include "iommu_image.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static enum nw_status check_file(struct iommu_image *image, int fd, const char *path, uint64_t start, unsigned haw,
                                 struct nw_error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return nw_fail_errno(err, NW_ERR_IO, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return nw_fail(err, NW_ERR_INPUT, "%s: a memory image must be a regular file", path);
    uint64_t bytes = (uint64_t)st.st_size, top = UINT64_C(1) << haw;
    if (!bytes)
        return nw_fail(err, NW_ERR_INPUT, "%s: the file is empty; a memory image has whole 4 KiB pages", path);
    if (bytes % PAGE)
        return nw_fail(err, NW_ERR_INPUT, "%s: %llu bytes are not whole 4 KiB pages", path, (unsigned long long)bytes);
    if (start % PAGE)
        return nw_fail(err, NW_ERR_INPUT, "--start 0x%llx: an image starts at a multiple of 4096",
                       (unsigned long long)start);
    if (start >= top || bytes > top - start)
        return nw_fail(err, NW_ERR_INPUT, "%s: %llu bytes from 0x%llx are too many: addresses of %u bits end at 0x%llx",
                       path, (unsigned long long)bytes, (unsigned long long)start, haw, (unsigned long long)top);
    image->range = (struct nw_vtd_range){ start, start + bytes };
    return NW_OK;
}

enum nw_status iommu_image_open(struct iommu_image *image, const char *path, uint64_t start, unsigned haw,
                                struct nw_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *image = (struct iommu_image){ .pm = NULL };
    if (fd < 0)
        return nw_fail_errno(err, errno == ENOENT ? NW_ERR_INPUT : NW_ERR_IO, errno, "%s", path);
    enum nw_status s = check_file(image, fd, path, start, haw, err);
    if (!s)
        s = nw_physmem_create(&image->pm, err);
    if (!s)
        s = nw_physmem_map_file(image->pm, nw_hpa(start), fd, 0, image->range.end - start, err);
    close(fd);
    return s;
}

void iommu_image_close(struct iommu_image *image)
{
    nw_physmem_destroy(image->pm);
    image->pm = NULL;
}
