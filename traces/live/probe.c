/* Whether the KVM of this machine shadows, and which way it goes where kernels differ. */
#include "live_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The first letter of a module's parameter; 0: it has none of that name. */
static char parameter(const char *path)
{
    char value = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &value, 1) != 1)
            value = 0;
        close(fd);
    }
    return value;
}

static bool on(char value) { return value == 'Y' || value == '1'; }

static const struct second_stage {
    const char *backend, *parameter, *name, *remedy;
} second_stages[] = {
    { "vmx", "/sys/module/kvm_intel/parameters/ept", "EPT", "kvm_intel with ept=0" },
    { "svm", "/sys/module/kvm_amd/parameters/npt", "NPT", "kvm_amd with npt=0" },
};

static const struct second_stage *second_stage_of(const char *backend)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(second_stages); i++)
        if (!strcmp(backend, second_stages[i].backend) && on(parameter(second_stages[i].parameter)))
            return &second_stages[i];
    return NULL;
}

bool live_second_stage(const char *backend) { return second_stage_of(backend); }

static enum nw_status check_shadowing(const char *backend, struct nw_error *err)
{
    const struct second_stage *used = second_stage_of(backend);
    if (used)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "KVM does not keep shadow page tables here, it uses %s (%s is Y); load module %s", used->name,
                       used->parameter, used->remedy);
    if (!strcmp(backend, "unknown"))
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "this KVM is none that is known to keep shadow page tables (kvm_pvm, kvm_intel ept=0, "
                       "kvm_amd npt=0)");
    return NW_OK;
}

static enum nw_status count(struct nw_live_shadow_host *out, struct nw_error *err)
{
    struct vm vm = { .kvm = -1, .vm = -1, .vcpu = -1 };
    struct statistics statistics = { .fd = { -1, -1 } };
    enum nw_status s = vm_create(&vm, UINT64_C(2) << 20, err);
    if (!s)
        s = statistics_open(&statistics, &vm, err);
    out->counted = statistics_counted(&statistics);
    statistics_close(&statistics);
    vm_destroy(&vm);
    return s;
}

enum nw_status nw_live_shadow_probe(struct nw_live_shadow_host *out, struct nw_error *err)
{
    *out = (struct nw_live_shadow_host){ 0 };
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return nw_fail_errno(err, NW_ERR_UNSUPPORTED, errno, "/dev/kvm cannot be opened; the live check needs KVM");
    close(fd);
    struct utsname name;
    if (!uname(&name))
        snprintf(out->release, sizeof out->release, "%s", name.release);
    vm_backend_detect(out->backend, sizeof out->backend);
    enum nw_status s = check_shadowing(out->backend, err);
    if (s)
        return s;
    char eager = parameter("/sys/module/kvm/parameters/eager_zap_unsync_children");
    out->eager_zap = !eager || on(eager);
    out->native_supervisor = strcmp(out->backend, "pvm") != 0;
    out->mmio_caching = on(parameter("/sys/module/kvm/parameters/mmio_caching"));
    return count(out, err);
}
