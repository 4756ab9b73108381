/* The file format: Linux, Documentation/virt/kvm/api.rst, "KVM_GET_STATS_FD". */
#include "statistics.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 4096, NAME_MAX_BYTES = 256 };

static bool read_all(int fd, void *out, size_t bytes, uint64_t at)
{
    return pread(fd, out, bytes, (off_t)at) == (ssize_t)bytes;
}

static void take(struct statistics *st, unsigned which, const char *name, uint64_t place)
{
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++)
        if (!strcmp(name, nw_kvm_counter_row[i].path)) {
            st->place[i] = place;
            st->which[i] = (uint8_t)which;
        }
}

static enum nw_status index_file(struct statistics *st, unsigned which, struct nw_error *err)
{
    struct kvm_stats_header header;
    int fd = st->fd[which];
    if (!read_all(fd, &header, sizeof header, 0) || header.num_desc > DESCRIPTORS_MAX || !header.name_size ||
        header.name_size > NAME_MAX_BYTES)
        return nw_fail(err, NW_ERR_ENV, "KVM's statistics have a header that makes no sense");
    size_t bytes = sizeof(struct kvm_stats_desc) + header.name_size;
    char *row = malloc(bytes + 1);
    enum nw_status s = row ? NW_OK : nw_fail_nomem(err, "KVM's statistics");
    for (uint32_t i = 0; !s && i < header.num_desc; i++) {
        struct kvm_stats_desc d;
        if (!read_all(fd, row, bytes, header.desc_offset + i * bytes)) {
            s = nw_fail(err, NW_ERR_ENV, "KVM's statistics end before number %u of %u", i, header.num_desc);
            break;
        }
        memcpy(&d, row, sizeof d);
        row[bytes] = 0;
        if (d.size == 1)
            take(st, which, row + sizeof d, header.data_offset + d.offset);
    }
    free(row);
    return s;
}

enum nw_status statistics_open(struct statistics *st, const struct vm *vm, struct nw_error *err)
{
    *st = (struct statistics){ .fd = { -1, -1 } };
    const int of[] = { vm->vm, vm->vcpu };
    for (unsigned i = 0; i < 2; i++) {
        st->fd[i] = ioctl(of[i], KVM_GET_STATS_FD, NULL);
        if (st->fd[i] < 0)
            return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_STATS_FD (Linux 5.14 and later have it)");
        enum nw_status s = index_file(st, i, err);
        if (s)
            return s;
    }
    return NW_OK;
}

enum nw_status statistics_read(const struct statistics *st, struct nw_kvm_counters *out, struct nw_error *err)
{
    *out = (struct nw_kvm_counters){ 0 };
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++)
        if (st->place[i] &&
            !read_all(st->fd[st->which[i]], (char *)out + nw_kvm_counter_row[i].offset, sizeof(uint64_t), st->place[i]))
            return nw_fail(err, NW_ERR_ENV, "KVM's statistic %s cannot be read", nw_kvm_counter_row[i].path);
    return NW_OK;
}

uint32_t statistics_counted(const struct statistics *st)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++)
        mask |= st->place[i] ? UINT32_C(1) << i : 0;
    return mask;
}

void statistics_close(struct statistics *st)
{
    for (unsigned i = 0; i < 2; i++)
        if (st->fd[i] >= 0)
            close(st->fd[i]);
    st->fd[0] = st->fd[1] = -1;
}
