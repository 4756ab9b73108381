#include "trace_host.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static void cpu_model(char *out, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    out[0] = '\0';
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
}

void trace_host_describe(struct nw_trace_info *info)
{
    struct utsname host;
    cpu_model(info->cpu_model, sizeof info->cpu_model);
    if (!uname(&host))
        snprintf(info->kernel, sizeof info->kernel, "%.80s %.80s", host.sysname, host.release);
}
