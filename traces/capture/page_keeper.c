/* page_keeper.c - keeps few of a running guest's pages in memory, and sees which ones it comes back to: userfaultfd(2). */
#include "page_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <nestwalk/base/addr.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint8_t *at(uint8_t *memory, uint32_t page) { return memory + ((uint64_t)page << NW_PAGE_LOG2); }

bool page_keeper_open(struct page_keeper *k, char *why, size_t why_size)
{
    struct uffdio_api api = { .api = UFFD_API };
    *k = (struct page_keeper){ .stop = -1, .aside = MAP_FAILED };
    k->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (k->faults < 0 || ioctl(k->faults, UFFDIO_API, &api) || (k->stop = eventfd(0, EFD_CLOEXEC)) < 0) {
        snprintf(why, why_size,
                 "userfaultfd: %s (KVM's own faults are to be seen: CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1)",
                 strerror(errno));
        page_keeper_fini(k);
        return false;
    }
    return true;
}

/* ---- the thread that answers faults; the guest's one processor waits in each ---- */

static enum nw_status put_back(struct page_keeper *k, uint32_t page, struct nw_error *err)
{
    struct uffdio_copy copy = { .dst = (uintptr_t)at(k->vm->memory, page),
                                .src = (uintptr_t)at(k->aside, page),
                                .len = NW_PAGE_BYTES };
    if (!ioctl(k->faults, UFFDIO_COPY, &copy) || copy.copy == -EEXIST)
        return NW_OK;
    return nw_fail_errno(err, NW_ERR_ENV, errno, "userfaultfd: a page cannot be given back to the guest");
}

static enum nw_status take_away(struct page_keeper *k, uint32_t page, struct nw_error *err)
{
    memcpy(at(k->aside, page), at(k->vm->memory, page), NW_PAGE_BYTES);
    if (madvise(at(k->vm->memory, page), NW_PAGE_BYTES, MADV_DONTNEED))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "MADV_DONTNEED of a page of the guest");
    return NW_OK;
}

static enum nw_status answer(struct page_keeper *k, uint32_t page, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    uint32_t gone = UINT32_MAX;
    if (k->queue.state[page] == PAGE_AWAY && k->queue.count < k->wanted &&
        !(s = page_queue_fetch(&k->queue, page, &gone, err)) && gone != UINT32_MAX && k->queue.count < k->wanted)
        s = take_away(k, gone, err);
    return s ? s : put_back(k, page, err);
}

static void *keep(void *context)
{
    struct page_keeper *k = context;
    struct pollfd fd[] = { { .fd = k->faults, .events = POLLIN }, { .fd = k->stop, .events = POLLIN } };
    struct uffd_msg message;
    while (!k->status) {
        if (poll(fd, 2, -1) < 0 && errno != EINTR)
            k->status = nw_fail_errno(&k->error, NW_ERR_ENV, errno, "waiting for a guest's page faults");
        if (fd[1].revents)
            break;
        while (!k->status && read(k->faults, &message, sizeof message) == sizeof message)
            if (message.event == UFFD_EVENT_PAGEFAULT)
                k->status =
                    answer(k, (uint32_t)((message.arg.pagefault.address - (uintptr_t)k->vm->memory) >> NW_PAGE_LOG2),
                           &k->error);
    }
    if (k->status) { /* the guest may not wait for ever: what is away reads as zeros, and the run is given up */
        struct uffdio_range all = { (uintptr_t)k->vm->memory, k->vm->memory_bytes };
        ioctl(k->faults, UFFDIO_UNREGISTER, &all);
    }
    return NULL;
}

/* ---- for who runs the guest ---- */

enum nw_status page_keeper_start(struct page_keeper *k, struct vm *vm, const struct page_queue *like, size_t wanted,
                                 struct nw_error *err)
{
    struct uffdio_register r = { .range = { (uintptr_t)vm->memory, vm->memory_bytes },
                                 .mode = UFFDIO_REGISTER_MODE_MISSING };
    k->vm = vm;
    k->wanted = wanted;
    enum nw_status s = page_queue_init(&k->queue, like->pages, err);
    if (s)
        return s;
    k->aside = mmap(NULL, vm->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (k->aside == MAP_FAILED)
        return nw_fail_errno(err, NW_ERR_NOMEM, errno, "what a guest's pages hold");
    for (uint32_t page = 0; page < like->pages && !s; page++)
        if (like->state[page] != PAGE_UNWATCHED) {
            k->queue.state[page] = PAGE_AWAY;
            s = take_away(k, page, err);
        }
    if (!s && ioctl(k->faults, UFFDIO_REGISTER, &r))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "userfaultfd: a guest's memory cannot be watched");
    if (s)
        return s;
    /* Signals are for the thread that runs the guest. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&k->thread, NULL, keep, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    k->running = !failed;
    return failed ? nw_fail_errno(err, NW_ERR_ENV, failed, "no thread can be made to watch a guest's pages") : NW_OK;
}

static void end_thread(struct page_keeper *k)
{
    const uint64_t one = 1;
    if (!k->running)
        return;
    while (write(k->stop, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(k->thread, NULL);
    k->running = false;
}

enum nw_status page_keeper_stop(struct page_keeper *k, struct nw_error *err)
{
    struct uffdio_range all = { (uintptr_t)k->vm->memory, k->vm->memory_bytes };
    end_thread(k);
    if (k->status) {
        *err = k->error;
        return k->status;
    }
    enum nw_status s = NW_OK;
    for (uint32_t page = 0; page < k->queue.pages && !s; page++)
        if (k->queue.state[page] == PAGE_AWAY)
            s = put_back(k, page, err);
    if (!s && ioctl(k->faults, UFFDIO_UNREGISTER, &all))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "userfaultfd: a guest's memory cannot be given back");
    return s;
}

void page_keeper_fini(struct page_keeper *k)
{
    end_thread(k);
    if (k->faults >= 0)
        close(k->faults);
    if (k->stop >= 0)
        close(k->stop);
    if (k->aside != MAP_FAILED)
        munmap(k->aside, k->vm->memory_bytes);
    page_queue_fini(&k->queue);
    *k = (struct page_keeper){ .faults = -1, .stop = -1, .aside = MAP_FAILED };
}
