#include "measured_machine.h"
#include <nestwalk/sim/host.h>
#include <stdio.h>
#include <unistd.h>

uint64_t measured_machine_memory(void)
{
    const long pages = sysconf(_SC_AVPHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes / 4 : 0;
}

enum nw_status measured_machine_describe(struct nw_measurement *m, struct nw_error *err)
{
    struct nw_cpuid id = { 0 };
    struct nw_host host;
    enum nw_status s = nw_cpuid_read(&id, err);
    if (s)
        return s;
    nw_host_decode(&id, &host);
    nw_cpuid_fini(&id);
    m->nested = host.hypervisor[0];
    snprintf(m->machine, sizeof m->machine, "%s, %s family %u model 0x%x", host.model_name, host.vendor, host.family,
             host.model);
    snprintf(m->profile, sizeof m->profile, "%s", host.near ? host.near : "textbook");
    return NW_OK;
}
