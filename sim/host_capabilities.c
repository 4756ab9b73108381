/* What the processor can do for a hypervisor: capability MSRs, by the kernel's msr device or, of those that KVM passes on, by /dev/kvm. Read only. */
#include "host_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__) && defined(__x86_64__)
#    include <linux/kvm.h>
#    include <sys/ioctl.h>
#endif

enum { BIT_NAMES_MAX = 24 };
struct bit_name {
    unsigned bit;
    const char *name;
};

/* SDM vol. 3, appendix A; APM vol. 2, "VM_CR MSR". */
static const struct msr {
    uint32_t number;
    bool svm; /* else VMX */
    const char *name;
    struct bit_name bit[BIT_NAMES_MAX];
} msrs[] = {
    { 0x48c,
      false,
      "IA32_VMX_EPT_VPID_CAP",
      { { 0, "execute-only" },
        { 6, "4-level EPT" },
        { 7, "5-level EPT" },
        { 16, "2M" },
        { 17, "1G" },
        { 20, "INVEPT" },
        { 21, "EPT A/D" },
        { 22, "advanced exit information" },
        { 32, "INVVPID" } } },
    /* The allowed-1 settings are the upper half. */
    { 0x48b,
      false,
      "IA32_VMX_PROCBASED_CTLS2",
      { { 33, "EPT" }, { 37, "VPID" }, { 39, "unrestricted guest" }, { 49, "PML" }, { 54, "mode-based execute" } } },
    { 0xc0010114, true, "VM_CR", { { 3, "SVM locked" }, { 4, "SVM disabled" } } },
};

/* APM vol. 3, function 8000_000Ah, EDX. */
static const struct bit_name svm_features[] = {
    { 0, "nested paging" },  { 3, "next RIP" },      { 5, "clean bits" }, { 6, "flush by ASID" },
    { 7, "decode assists" }, { 10, "pause filter" }, { 13, "AVIC" },
};

static void append(char *text, size_t size, const char *what)
{
    const size_t used = strlen(text);
    if (used < size)
        snprintf(text + used, size - used, "%s", what);
}

static void name_bits(char *text, size_t size, uint64_t value, const struct bit_name *bit, size_t count)
{
    const char *between = "";
    for (size_t i = 0; i < count && bit[i].name; i++)
        if (value >> bit[i].bit & 1) {
            append(text, size, between);
            append(text, size, bit[i].name);
            between = ", ";
        }
    if (!*between)
        append(text, size, "none of those known here");
}

static bool by_device(uint32_t number, uint64_t *value, int *why)
{
    const int fd = open("/dev/cpu/0/msr", O_RDONLY | O_CLOEXEC);
    *why = errno;
    if (fd < 0)
        return false;
    const bool got = pread(fd, value, sizeof *value, (off_t)number) == (ssize_t)sizeof *value;
    *why = errno;
    close(fd);
    return got;
}

static bool by_kvm(uint32_t number, uint64_t *value, int *why)
{
#if defined(__linux__) && defined(__x86_64__)
    struct kvm_msrs *ask = calloc(1, sizeof *ask + sizeof(struct kvm_msr_entry));
    const int fd = ask ? open("/dev/kvm", O_RDWR | O_CLOEXEC) : -1;
    bool got = false;
    *why = ask ? errno : ENOMEM;
    if (fd >= 0) {
        ask->nmsrs = 1;
        ask->entries[0].index = number;
        got = ioctl(fd, KVM_GET_MSRS, ask) == 1;
        *why = got ? 0 : ENOENT;
        *value = ask->entries[0].data;
        close(fd);
    }
    free(ask);
    return got;
#else
    (void)number, (void)value;
    *why = ENOSYS;
    return false;
#endif
}

void host_look_at_capabilities(struct nw_host *h)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(msrs); i++) {
        char text[NW_HOST_TEXT];
        uint64_t value;
        int device, kvm;
        if (!(msrs[i].svm ? h->svm : h->vmx))
            continue;
        if (by_device(msrs[i].number, &value, &device) || by_kvm(msrs[i].number, &value, &kvm)) {
            snprintf(text, sizeof text, "%s: ", msrs[i].name);
            name_bits(text, sizeof text, value, msrs[i].bit, BIT_NAMES_MAX);
            host_say(h->capability, &h->capabilities, text);
            continue;
        }
        snprintf(text, sizeof text, "%s: /dev/cpu/0/msr: %s; KVM_GET_MSRS: %s", msrs[i].name, strerror(device),
                 kvm == ENOENT ? "KVM does not pass it on" : strerror(kvm));
        host_say(h->unread, &h->unreads, text);
    }
    if (h->svm) {
        char text[NW_HOST_TEXT];
        snprintf(text, sizeof text, "SVM, %u ASIDs: ", h->asids);
        name_bits(text, sizeof text, h->svm_features, svm_features, NW_ARRAY_LEN(svm_features));
        host_say(h->capability, &h->capabilities, text);
    }
    if (!h->vmx && !h->svm)
        host_say(h->unread, &h->unreads,
                 h->hypervisor[0] ? "VMX and SVM capabilities: CPUID shows neither, the hypervisor above hides them"
                                  : "VMX and SVM capabilities: CPUID shows neither");
}
