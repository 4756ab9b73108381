/* A snapshot of what sysfs says of units, groups and PCI functions, a line each value:
 *
 *     /sys/class/iommu/dmar0/intel-iommu/cap = d2008c40660462
 *     /sys/kernel/iommu_groups/3/type = DMA-FQ
 *     /sys/kernel/iommu_groups/3/devices -> 0000:00:02.0
 *     /sys/bus/pci/devices/0000:00:02.0/class = 0x030000
 *     /sys/bus/pci/devices/0000:00:02.0/driver -> i915
 *     /sys/bus/pci/devices/0000:00:02.0/config +0x0 = 8680923e07041000...
 *
 * A file of several lines has a line here for each. Of a link the last part of where it leads stands behind "->"; of a directory what is in
 * it. Files as Linux, Documentation/ABI/testing/sysfs-class-iommu*, sysfs-kernel-iommu_groups, sysfs-bus-pci. */
#include "function.h"
#include <ctype.h>
#include <nestwalk/iommu/amdvi_unit.h>
#include <stdio.h>
#include <stdlib.h>

struct state {
    struct reader *r;
    struct nw_error *err;
    uint16_t segment, bdf; /* whose configuration is being read */
    uint8_t config[NW_CONFIG_EXTENDED_BYTES];
    size_t config_bytes;
};

static enum nw_status finish_config(struct state *s)
{
    struct nw_dump_function *f = s->config_bytes ? nw_function_at(s->r, s->segment, s->bdf) : NULL;
    if (s->config_bytes && !f)
        return nw_fail_nomem(s->err, "the functions of a dump");
    if (f)
        nw_function_read_config(f, s->config, s->config_bytes);
    s->config_bytes = 0;
    return NW_OK;
}

/* "+0xOFFSET = HEX" */
static enum nw_status config_row(struct state *s, struct nw_dump_function *f, const char *rest)
{
    if (s->config_bytes && (s->segment != f->segment || s->bdf != f->bdf)) {
        const uint16_t segment = f->segment, bdf = f->bdf;
        const enum nw_status status = finish_config(s);
        if (status)
            return status;
        f = nw_function_at(s->r, segment, bdf);
    }
    if (!s->config_bytes)
        memset(s->config, 0, sizeof s->config);
    s->segment = f->segment;
    s->bdf = f->bdf;
    unsigned long at;
    int used = 0;
    if (sscanf(rest, " +0x%3lx = %n", &at, &used) != 1 || !used)
        return nw_reader_bad(s->r, s->err, "\"config +0xOFFSET = HEX\"");
    for (const char *p = rest + used; *p && !isspace((unsigned char)*p); p += 2, at++) {
        const char pair[3] = { p[0], p[1], 0 };
        if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || at >= sizeof s->config)
            return nw_reader_bad(s->r, s->err, "an even number of hexadecimal digits, up to offset 0xfff");
        s->config[at] = (uint8_t)strtoul(pair, NULL, 16);
        if (at >= s->config_bytes)
            s->config_bytes = at + 1;
    }
    return NW_OK;
}

static bool is_one(const char *value, const char *word) { return !strcmp(value, word) || !strcmp(value, "1"); }

static enum nw_status of_function(struct state *s, const char *name, const char *value, char sign, const char *line)
{
    struct reader *r = s->r;
    char device[24];
    const size_t length = strcspn(name, "/");
    uint16_t segment, bdf;
    if (length >= sizeof device || name[length] != '/')
        return NW_OK;
    snprintf(device, sizeof device, "%.*s", (int)length, name);
    if (!nw_reader_function(device, &segment, &bdf))
        return NW_OK;
    struct nw_dump_function *f = nw_function_at(r, segment, bdf);
    if (!f)
        return nw_fail_nomem(s->err, "the functions of a dump");
    const char *file = name + length + 1;
    r->items++;
    if (!strncmp(file, "config ", 7))
        return config_row(s, f, strstr(line, "/config ") + strlen("/config"));
    if (!strcmp(file, "class"))
        nw_function_set_class(f, (uint32_t)strtoul(value, NULL, 16));
    else if (!strcmp(file, "vendor"))
        f->vendor = (uint16_t)strtoul(value, NULL, 16);
    else if (!strcmp(file, "device"))
        f->device = (uint16_t)strtoul(value, NULL, 16);
    else if (!strcmp(file, "driver") && sign == '>')
        snprintf(f->driver, sizeof f->driver, "%.31s", value);
    else if (!strcmp(file, "physfn"))
        f->is_vf = true;
    else if (!strcmp(file, "sriov_numvfs"))
        f->vfs = (uint16_t)strtoul(value, NULL, 10);
    else if (!strcmp(file, "sriov_offset"))
        f->vf_offset = (uint16_t)strtoul(value, NULL, 10);
    else if (!strcmp(file, "sriov_stride"))
        f->vf_stride = (uint16_t)strtoul(value, NULL, 10);
    else if (!strcmp(file, "untrusted") || !strcmp(file, "external_facing"))
        f->external |= is_one(value, "yes");
    else if (!strcmp(file, "removable"))
        f->external |= !strcmp(value, "removable");
    else if (!strcmp(file, "iommu_group") && sign == '>') {
        f->has_group = true;
        f->group = (unsigned)strtoul(value, NULL, 10);
    }
    return NW_OK;
}

static enum nw_status of_group(struct state *s, const char *name, const char *value)
{
    struct reader *r = s->r;
    char *end;
    const unsigned number = (unsigned)strtoul(name, &end, 10);
    if (end == name || *end != '/')
        return NW_OK;
    r->items++;
    if (!strcmp(end, "/type")) {
        struct nw_dump_group *g = nw_reader_grow(&r->d->group, &r->d->groups, sizeof *g);
        if (!g)
            return nw_fail_nomem(s->err, "the groups of a dump");
        *g = (struct nw_dump_group){ .number = number, .place = nw_reader_place(r) };
        snprintf(g->type, sizeof g->type, "%.15s", value);
    } else if (!strcmp(end, "/devices")) {
        uint16_t segment, bdf;
        if (!nw_reader_function(value, &segment, &bdf))
            return NW_OK; /* a device that is not on a PCI bus */
        struct nw_dump_function *f = nw_function_at(r, segment, bdf);
        if (!f)
            return nw_fail_nomem(s->err, "the functions of a dump");
        f->has_group = true;
        f->group = number;
    } else if (!strcmp(end, "/reserved_regions")) {
        unsigned long long first, last;
        char type[24];
        if (sscanf(value, "0x%llx 0x%llx %23s", &first, &last, type) != 3)
            return nw_reader_bad(r, s->err, "\"0xFIRST 0xLAST TYPE\"");
        struct nw_dump_region *g = nw_reader_grow(&r->d->region, &r->d->regions, sizeof *g);
        if (!g)
            return nw_fail_nomem(s->err, "the regions of a dump");
        *g = (struct nw_dump_region){ .group = number, .start = first, .last = last, .place = nw_reader_place(r) };
        memcpy(g->type, type, sizeof type);
    }
    return NW_OK;
}

static bool parse_hex(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 16);
    return end > text && !*end;
}

/* "ivhd0/amd-iommu/features": of older kernels the extended feature register, of newer ones the second and the first, "EFR2:EFR". */
static enum nw_status of_amd_unit(struct reader *r, const char *name, const char *value, struct nw_error *err)
{
    unsigned unit;
    int used = 0;
    uint64_t efr;
    if (sscanf(name, "ivhd%4u/amd-iommu/features%n", &unit, &used) != 1 || !used || name[used])
        return NW_OK;
    const char *colon = strchr(value, ':');
    if (!parse_hex(colon ? colon + 1 : value, &efr))
        return nw_reader_bad(r, err, "a register in hexadecimal");
    struct nw_dump_amd_register *o = nw_reader_grow(&r->d->amd.reg, &r->d->amd.regs, sizeof *o);
    if (!o)
        return nw_fail_nomem(err, "the registers of a dump");
    *o = (struct nw_dump_amd_register){
        .unit = (int)unit, .common = true, .offset = NW_AMDVI_EFR, .value = efr, .place = nw_reader_place(r)
    };
    r->items++;
    return NW_OK;
}

/* "dmar0/intel-iommu/cap" */
static enum nw_status of_unit(struct state *s, const char *name, const char *value)
{
    static const struct {
        const char *file;
        enum nw_dump_register which;
    } known[] = { { "/intel-iommu/cap", NW_DUMP_CAP }, { "/intel-iommu/ecap", NW_DUMP_ECAP } };
    struct reader *r = s->r;
    const char *file = strchr(name, '/');
    if (!file || strncmp(file, "/intel-iommu/", 13) != 0)
        return of_amd_unit(r, name, value, s->err);
    char unit[NW_DUMP_UNIT_NAME];
    snprintf(unit, sizeof unit, "%.*s", (int)(file - name < 15 ? file - name : 15), name);
    struct nw_dump_unit *u = nw_reader_unit(r, unit, 0);
    if (!u)
        return nw_fail_nomem(s->err, "the units of a dump");
    uint64_t number;
    u->from_log = false;
    r->items++;
    if (!strcmp(file, "/intel-iommu/address")) {
        if (!parse_hex(value, &number))
            return nw_reader_bad(r, s->err, "an address in hexadecimal");
        u->base = number;
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(known); i++)
        if (!strcmp(file, known[i].file)) {
            if (!parse_hex(value, &number))
                return nw_reader_bad(r, s->err, "a register in hexadecimal");
            nw_reader_register(r, u, known[i].which, number);
        }
    return NW_OK;
}

static const char *behind(const char *line, const char *prefix)
{
    return strncmp(line, prefix, strlen(prefix)) ? NULL : line + strlen(prefix);
}

static enum nw_status take_line(struct state *s)
{
    struct reader *r = s->r;
    char name[512], value[512];
    const char *equals = strstr(r->line, " = "), *arrow = strstr(r->line, " -> ");
    const char *sign = equals && (!arrow || equals < arrow) ? equals : arrow, *at;
    if (!sign)
        return NW_OK;
    const char *text = sign + (sign == equals ? 3 : 4);
    snprintf(name, sizeof name, "%.*s", (int)(sign - r->line < 511 ? sign - r->line : 511), r->line);
    snprintf(value, sizeof value, "%.511s", text);
    value[strcspn(value, "\n")] = 0;
    for (size_t n = strlen(value); n && isspace((unsigned char)value[n - 1]); n--)
        value[n - 1] = 0;
    if ((at = behind(name, "/sys/bus/pci/devices/")) != NULL)
        return of_function(s, at, value, sign == equals ? '=' : '>', r->line);
    if ((at = behind(name, "/sys/kernel/iommu_groups/")) != NULL)
        return of_group(s, at, value);
    if ((at = behind(name, "/sys/class/iommu/")) != NULL)
        return of_unit(s, at, value);
    return NW_OK;
}

static enum nw_status sysfs(struct reader *r, struct nw_error *err)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(err, "a function's configuration");
    s->r = r;
    s->err = err;
    enum nw_status status = NW_OK;
    while (!status && nw_reader_next(r))
        status = take_line(s);
    if (!status)
        status = finish_config(s);
    free(s);
    return status;
}

static bool begins(const struct reader *r)
{
    return !strncmp(r->line, "/sys/", 5) && (strstr(r->line, " = ") || strstr(r->line, " -> "));
}

const struct text_format nw_text_sysfs = { .name = "sysfs", .begins = begins, .parse = sysfs };
